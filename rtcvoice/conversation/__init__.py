"""Road 3, event to handler: from the text of the event channel to the user's code, and back.

    wire ==> transport - text -> events.decode -> Conversation (what it means for the call)
                                               -> Dispatcher: waiters -> iterators -> handlers
    function calls -> tool_runner -> your functions -> outputs -> sequencer -> response
    commands.*  ->  events.encode  ->  transport ==> wire

`conversation.py` reads off each event what the rest of the call has to know (ready, user speaks,
assistant heard, idle) without anybody else knowing event names; `dispatcher.py` hands events to the
user's code, which can neither block nor end a call; `commands.py` builds what a verb sends.

Tools: `tools.py` is what the user writes, `tool_schema.py` what the model reads of it,
`tool_runner.py` gives every call an answer, `tool_work.py` the threads and processes it runs in.
`accounts.py` keeps usage, cost, limits and latency; `prices.py` is the one table of prices.
"""
