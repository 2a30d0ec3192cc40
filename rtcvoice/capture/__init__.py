"""ROAD 1, microphone to wire.

    Source - Block (20 ms, timed) -> SourceTrack (Opus) -> transport ==> wire

A `Source` hands out 20 ms of audio when they are due and never stalls: what it lacks is silence.
`SourceTrack` encodes each block and gives it to aiortc as a ready packet, whose RTP timestamp comes
from the block's index, so that a gap in the source stays a gap for the listener.

    source.py      what a source is; Silence, and PcmSource for audio the program makes itself
    flag.py        a flag to wait for, in whichever event loop the call runs
    microphone.py  Microphone: a sound device, through PortAudio (device/host.py)
    cutter.py      pure: the device's stream in blocks that are always in time
    echo/          what happens to its blocks: echo, noise, gain
    file.py        FileSource: audio and video files (sound/sound_file.py opens and decodes them)
    pipe.py        PipeSource: WAV or raw PCM from stdin or another pipe
      pcm_parser.py    pure: makes samples of its bytes; wave_header.py says what they are
    spoken.py      what it is given is said, with silence in between: callers, the emulator
    clips.py       recorded clips that are said beside the source
    feeder.py      the thread with which these two read ahead
    track.py       SourceTrack: the one track of a call, encoding, muting
"""
