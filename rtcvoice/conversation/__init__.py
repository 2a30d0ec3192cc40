"""Road 3, event to handler: from the text of the event channel to the user's code, and back.

    wire ==> transport - text -> events.decode -> Conversation (what it means for the call)
                                               -> Dispatcher: waiters -> iterators -> handlers
    commands.*  ->  events.encode  ->  transport ==> wire

`conversation.py` reads off each event what the rest of the call has to know (ready, user speaks,
assistant heard, idle) without anybody else knowing event names; `dispatcher.py` hands events to the
user's code, which can neither block nor end a call; `commands.py` builds what a verb sends.
"""
