"""What is known of a Live conversation, from its events and from what is heard and sent; pure.

    speech         is there speech? for either side, from the peaks of blocks of sound
    clock_map      the model's clock and ours
    transcript     words with their places on the model's clock, joined to text
    spoken         one stretch of talk of one side
    user_side      the user's: from sound and words
    assistant_side the assistant's: from words and sound
    turns          both in spoken order, as `Turn`s
    backend        the function calls of the backend model, their outputs, and when it goes on
    call_entries   of these, what the history has
    outputs        of these, within the service's limits; given_outputs: those that are refused
    delegations    work that the voice model handed on
    billing        seconds, tokens and what they cost
    live_state     all of it put together

Nothing here has a clock, a task or a socket: time comes as `now`.
"""
