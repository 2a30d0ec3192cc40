"""ROAD 1, microphone to wire.

    Source - Block (20 ms, timed) -> SourceTrack (Opus) -> transport ==> wire

A `Source` hands out 20 ms of audio when they are due and never stalls: what it lacks is silence.
`SourceTrack` encodes each block and gives it to aiortc as a ready packet, whose RTP timestamp comes
from the block's index, so that a gap in the source stays a gap for the listener.

    source.py      what a source is; Silence, and PcmSource for audio the program makes itself
    flag.py        a flag to wait for, in whichever event loop the call runs
    microphone.py  Microphone: a sound device, through PortAudio (device/host.py)
    cutter.py      pure: the device's stream in blocks that are always in time
    conditioning.py  what happens to its blocks: echo, noise, gain; one of these for the echo:
      echo.py          AEC3, or in double talk what the linear filter leaves
        far_reference.py  what the loudspeaker played meanwhile, in step with the microphone
        linear_echo.py    pure: a Kalman filter that learns the room
        double_talk.py    pure: whether the user speaks over the assistant
      half_duplex.py   without AEC3: the microphone is off while the assistant speaks
    file.py        FileSource: audio and video files (../sound_file.py opens and decodes them)
    pipe.py        PipeSource: WAV or raw PCM from stdin or another pipe
      pcm_parser.py    pure: makes samples of its bytes; wave_header.py says what they are
    feeder.py      the thread with which these two read ahead
    track.py       SourceTrack: the one track of a call, encoding, muting
"""
