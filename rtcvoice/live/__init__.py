"""Road 3 of a call of GPT-Live: what is said and heard, where the server tells of no turns.

road.py         LiveConversation: the state's clock and sender, and what `call/` sees of it
state/          pure: who speaks, turns, the model's clock, delegated work, usage
requests.py     the verbs: say, ask, send, think, instruct, interrupt
acks.py         commands that wait for the server's word
gate.py         when the ear opens again that `interrupt()` closed
answer.py       a reply: the stretch of speech that follows a request
delegations.py  work that your own function does
seeding.py      a history as the messages that a session begins with
"""
