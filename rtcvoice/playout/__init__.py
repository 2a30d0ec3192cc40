"""ROAD 2, packet to speaker.

    wire ==> Player [ JitterBuffer -> PlayoutEngine (10 ms on demand) -> Resampler ] -> Sink

The event loop only appends packets and commands to the player's inbox. Whoever needs sound, the
device's thread or the ticker of the loop, pulls: it empties the inbox, asks the engine for 10 ms,
and owns everything in between. THE ENGINE BELONGS TO WHOEVER PULLS.

    jitter_buffer.py   pure: packets in order, once each, bounded
    delay_manager.py   pure: how long packets are held back
    decoder.py         packets and holes into PCM; never raises; continuation.py: a voice goes on
    engine.py          pure: what to play in the next 10 ms
    tempo.py           pure: when to play faster or slower; pauses.py, time_stretch.py: where, how
    sync_buffer.py     pure: decoded audio, and a little of what was played
    gate.py            pure: no late packets of an answer that was cut off
    speech_queue.py    pure: samples in place of packets, from a WebSocket
    player.py          the seam between the loop and the puller
    tee.py             a listener to what the sink gets
    sink.py            what a sink is; HeadlessSink, Discard
    ducking.py         softer while the user seems to speak over it
    speaker.py         Speaker: a sound device, through PortAudio (device/host.py)
    file.py            FileSink: a WAV file on the call's timeline; file_target.py is its file
    pipe.py            PipeSink: WAV or raw PCM to stdout or another pipe; pipe_target.py is that
    writer.py          the thread that writes for both, and what waits for it
"""
