"""Road 3, event to handler: from the text of the event channel to the user's code, and back.

    wire ==> transport - text -> events.decode -> Dialogue: what it means, who was waiting for it
                                               -> Dispatcher: waiters -> iterators -> handlers
    verbs -> items, requests -> Sequencer -> events.encode -> transport ==> wire

`side.py` puts the parts together for a call, `dialogue.py` is their clock and sends what is due.

    state/      pure: what is known of the conversation, from events and `now`
    asking/     what the user asks for, and what comes back
    listening/  how events and turns reach the user's code, which can neither block nor end a call
    tools/      runs what the model calls
    accounts/   counts tokens, money and latency
"""
