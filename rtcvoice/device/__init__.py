"""Sound devices, for both ends of a call: found, opened, watched and healed.

    device.py      pure: a device as a person names it, which one is meant, what became of it
    host.py        every line of the process that is in use: looked at, and opened again when lost
    line.py        one end's line to its device: the callback, dropouts, when it counts as lost
    clock.py       pure: steady times out of what drivers say
    channels.py    one voice out of the channels of a device, and into them
    thread.py      the one thread on which PortAudio is opened, initialised and closed
    portaudio.py   PortAudio by way of sounddevice, its errors in words

`capture/microphone.py` and `playout/speaker.py` are what calls see of it.
"""
