"""Samples and what is done to them everywhere: blocks, rings, rates, files, Opus. A leaf.

samples     blocks of int16 mono, their levels; voice_level: what is a pause beside a voice
ring        between two threads, without a lock; timed_ring: one whose samples have a time
ticker      the clock of all that has none, every 10 ms
load        whether a loop has the time for its calls; thinning: what is left out where it has not
resampler   from one rate to another, piece by piece; downmix: one channel of several
sound_file  recordings, decoded piece by piece (signatures, ogg_links: what the bytes tell)
opus        libopus, by ctypes; opus_packets: packets joined and padded without it
g711, event_audio   audio as telephones and WebSockets have it
"""
