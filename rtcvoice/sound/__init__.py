"""Samples and what is done to them everywhere: blocks, rings, rates, files, Opus. A leaf.

samples     blocks of int16 mono, and the ring buffer between two threads
timed_ring  a ring whose samples have a time
resampler   from one rate to another, piece by piece; downmix: one channel of several
sound_file  recordings, decoded piece by piece (signatures, ogg_links: what the bytes tell)
opus        libopus, by ctypes
"""
