"""What the user of a call asks for, and what comes back.

requesting     ask, send, respond: items and requests, in order
confirmations  commands that the server confirms or refuses
replies, reply, recorder   the answer, as text and as heard
talk           push to talk
content, commands   arguments made into items and client events
"""
