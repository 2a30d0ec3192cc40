"""Everything that takes the loudspeaker out of what the microphone hears.

canceller      AEC3 and the linear filter, joined
far_reference  what the loudspeaker played, at the time of the captured block
linear_echo, double_talk, isolation   the filter, and who speaks
half_duplex    a gate, where no canceller exists
conditioning   which of them a microphone gets
"""
