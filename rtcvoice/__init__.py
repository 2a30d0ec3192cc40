"""Talk to realtime voice models from Python.

    async with rtcvoice.connect(source=..., sink=...) as call:
        async for event in call: ...

Three roads lead through a call, and one crossing (`call.py`) joins them:

    capture/       source -> track ==> wire                      what the model hears
    playout/       wire ==> jitter buffer -> engine -> sink      what is heard of the model
    conversation/  wire ==> event -> handler                     what is said about it

`connect.py` gets a call up, stage by stage; `leg.py`, `transport.py` and `signaling.py` are the
connection; `events` has every event of the API as a typed struct; `emulator` is a local server to
develop and test against, with no key and no network.
"""

from rtcvoice.call import Call
from rtcvoice.capture.file import FileSource
from rtcvoice.capture.source import PcmSource, Silence, Source
from rtcvoice.connect import connect
from rtcvoice.conversation.dispatcher import EventsDropped, HandlerError
from rtcvoice.credentials import ApiKey, EphemeralToken
from rtcvoice.errors import (
    CallEnded,
    ConfigError,
    CredentialsError,
    DeviceError,
    RtcVoiceError,
    ServerError,
    SignalingError,
    TransportError,
)
from rtcvoice.playout.file import FileSink
from rtcvoice.playout.sink import Discard, Sink
from rtcvoice.stats import CallStats
from rtcvoice.supervisor import CallState
from rtcvoice.timings import Timings

__version__ = "0.1.0"

__all__ = [
    "ApiKey",
    "Call",
    "CallEnded",
    "CallState",
    "CallStats",
    "ConfigError",
    "CredentialsError",
    "DeviceError",
    "Discard",
    "EphemeralToken",
    "EventsDropped",
    "FileSink",
    "FileSource",
    "HandlerError",
    "PcmSource",
    "RtcVoiceError",
    "ServerError",
    "SignalingError",
    "Silence",
    "Sink",
    "Source",
    "Timings",
    "TransportError",
    "connect",
]
