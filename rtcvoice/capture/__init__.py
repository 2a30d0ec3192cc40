"""ROAD 1, microphone to wire.

    Source - Block (20 ms, timed) -> SourceTrack (Opus) -> transport ==> wire

A `Source` hands out 20 ms of audio when they are due and never stalls: what it lacks is silence.
`SourceTrack` encodes each block and gives it to aiortc as a ready packet, whose RTP timestamp comes
from the block's index, so that a gap in the source stays a gap for the listener.

    source.py      what a source is; Silence, and PcmSource for audio the program makes itself
    microphone.py  Microphone: a sound device, through PortAudio (device_host.py)
    cutter.py      pure: the device's stream in blocks that are always in time
    file.py        FileSource: any file PyAV decodes
    pipe.py        PipeSource: WAV or raw PCM from stdin or another pipe (pcm_parser.py reads it)
    track.py       SourceTrack: the one track of a call, encoding, muting
"""
