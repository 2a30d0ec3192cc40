"""Frameworks that others wrote, with rtcvoice in them: each is imported only when it is used.

    langwatch.py     LangWatch's scenarios: an agent that is called by rtcvoice
    deepeval.py      DeepEval's conversation simulator: the same
    openai_agents/   the Agents SDK: `RealtimeRunner(agent, model=WebRTCModel())`

Each needs the extra of its name. Nothing else in rtcvoice imports anything from here.
"""
