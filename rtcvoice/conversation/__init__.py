"""Road 3, event to handler: from the text of the event channel to the user's code, and back.

    road.py:CallConversation.receive   wire ==> leg - text -> events.decode
      -> state/ConversationState.feed     what it means
      -> asking/Confirmations, Replies    who was waiting for it
      -> listening/Dispatcher.publish     waiters -> iterators -> handlers
    asking/requesting.py:Requester, asking/session_commands.py   what a verb of the call asks for
      -> state/Sequencer.due              which response is asked for, and when
      -> road.py:CallConversation.send -> events.encode -> leg ==> wire     the one way out

`road.py` puts the parts together for a call and is their clock; `ports.py` is what it needs of the
call around it: a leg to send by, an output to hear by. `due_work.py` has what is due done in time.
`moving.py` brings the conversation into another session, `gap_words.py` what was said meanwhile.

    state/      pure: what is known of the conversation, from events and `now`
    asking/     what the user asks for, and what comes back
    listening/  how events and turns reach the user's code, which can neither block nor end a call
    tools/      runs what the model calls
    accounts/   counts tokens, money and latency
"""
