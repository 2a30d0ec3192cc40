"""Road 3, event to handler: from the text of the event channel to the user's code, and back.

    wire ==> transport - text -> events.decode -> Dialogue: what it means, who was waiting for it
                                               -> Dispatcher: waiters -> iterators -> handlers
    verbs -> items, requests -> Sequencer -> events.encode -> transport ==> wire

`side.py` puts the parts together for a call. Pure, from events and `now`: `items.py` (the chain and
all text), `playback.py` (what was heard), `turns.py` (what is final, in order), `sequencer.py` (who
gets the next response, and the seam for tools), `history.py`; `conversation.py` feeds them and
reads off what the rest of the call has to know, without anybody else knowing event names.
`dialogue.py` is their clock and mouth, `asking.py` adds items and wants answers, `exchange.py`
brings answers and refusals to the command they answer. `reply.py`, `talk.py` and `turn_stream.py`
are what users hold, `verbs.py` what they call. `dispatcher.py` hands events to the user's code,
which can neither block nor end a call.
`tools/` runs what the model calls; `accounts/` counts tokens, money and latency.
"""
