"""ROAD 1, microphone to wire.

    Source - Block (20 ms, timed) -> SourceTrack (Opus) - packet (20 to 60 ms) ==> wire

A `Source` hands out 20 ms of audio when they are due and never stalls: what it lacks is silence.
`SourceTrack` encodes each block and sends it when it is due. The RTP timestamp of a packet comes
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
    feed.py        one source, read by the tracks of one leg after the other; schedule.py and
                   pace.py: when its blocks are due, and how fast they may be taken
    reader.py      what a track reads of a source
    track.py       SourceTrack: the one track of a call, encoding, muting; event_track.py where
                   audio goes in events, no_track.py where none is sent
    outgoing.py    how many blocks go into a packet, its padding; memory.py: what was said of late
    uplink.py      pure: bitrate, FEC and length of packets, by reports and checks. Its parts are
                   path.py, checks.py, trial.py, loss.py, shape.py, report_delay.py,
                   reminder.py, quiet.py
    shortcuts.py   pure: what the encoder does without where the machine has little time
"""
