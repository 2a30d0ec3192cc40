"""GPT-Live: the second dialect of the emulator, a session without turns.

    session.py     the pure core: client events, audio and time in; events and audio out
    stream_core.py of it, what a translation has, too: the audio that arrives is the clock
    peer.py        the core behind a WebRTC connection
    calls.py       its sessions among the emulator's calls, forks and recordings

The model's clock is the audio that arrives: without it nothing is heard, said or charged. Every
200 ms of it the model hears a frame, and says one.
"""
