"""What is known of the conversation: pure, fed with events and `now`.

conversation  the state as a whole, made of
items, turns, playback, function_calls   what was said, by whom, and what was heard of it
sequencer, requests, out_of_band         one response at a time: who may ask for the next
history, records                         the conversation as values, to keep and to bring back
"""
