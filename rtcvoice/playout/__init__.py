"""ROAD 2, packet to speaker.

    tap ==> Player [ JitterBuffer -> PlayoutEngine (10 ms on demand) -> Resampler ] -> Sink

The event loop only appends packets and commands to the player's inbox. Whoever needs sound, the
device's thread or the ticker of the loop, pulls: it empties the inbox, asks the engine for 10 ms,
and owns everything in between. THE ENGINE BELONGS TO WHOEVER PULLS.

    jitter_buffer.py   pure: packets in order, once each, bounded
    decoder.py         packets and holes into PCM; never raises
    engine.py          pure: what to play in the next 10 ms
    player.py          the seam between the loop and the puller
    tee.py             a listener to what the sink gets
    sink.py            what a sink is; HeadlessSink, Discard
    ticker.py          the one clock of all headless sinks of a loop
    ducking.py         softer while the user seems to speak over it
    speaker.py         Speaker: a sound device, through PortAudio (device/host.py)
    file.py            FileSink: a WAV file on the call's timeline; file_target.py is its file
    pipe.py            PipeSink: WAV or raw PCM to stdout or another pipe; pipe_target.py is that
    writer.py          the thread that writes for both, and what waits for it
"""
