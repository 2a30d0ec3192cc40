"""Frameworks that others wrote, with rtcvoice in them: each is imported only when it is used.

    openai_agents/   the Agents SDK: `RealtimeRunner(agent, model=WebRTCModel())`

Each needs the extra of its name. Nothing else in rtcvoice imports anything from here.
"""
