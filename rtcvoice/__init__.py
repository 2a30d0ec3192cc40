"""Talk to realtime voice models from Python.

    async with rtcvoice.connect(source=..., sink=...) as call:
        async for event in call: ...

Three roads lead through a call, and one crossing (`call.py`) joins them:

    capture/       source -> track ==> wire                      what the model hears
    playout/       wire ==> jitter buffer -> engine -> sink      what is heard of the model
    conversation/  wire ==> event -> handler                     what is said about it

`connect.py` gets a call up, stage by stage; `leg.py`, `transport.py` and `signaling.py` are the
connection; `device/host.py` keeps the sound devices at both ends; `events` has every event of the
API as a typed struct; `emulator` is a local server to develop and test against, with no key and no
network.
"""

from rtcvoice import _starting
from rtcvoice.call import Call
from rtcvoice.capture.file import FileSource
from rtcvoice.capture.microphone import Microphone
from rtcvoice.capture.pipe import PipeSource
from rtcvoice.capture.source import PcmSource, Silence, Source
from rtcvoice.connect import connect
from rtcvoice.conversation.accounts.latency import TurnLatency
from rtcvoice.conversation.accounts.limits import LimitNear, LimitReached, Limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.accounts.usage import CallUsage, ResponseUsage, TokenCounts
from rtcvoice.conversation.dispatcher import EventsDropped, HandlerError
from rtcvoice.conversation.records import Status
from rtcvoice.conversation.reply import Reply
from rtcvoice.conversation.tools.events import (
    ToolCancelled,
    ToolFailed,
    ToolFailure,
    ToolFinished,
    ToolStarted,
)
from rtcvoice.conversation.tools.function_tool import ToolCall, tool
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.conversation.turns import Turn
from rtcvoice.credentials import (
    ApiKey,
    ApiKeyFile,
    AzureApiKey,
    EntraToken,
    EphemeralToken,
    TokenUrl,
)
from rtcvoice.device.device import Device, DeviceChange, DeviceChanged
from rtcvoice.device.host import devices
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
from rtcvoice.ice_servers import IceServer
from rtcvoice.playout.file import FileSink
from rtcvoice.playout.pipe import PipeSink
from rtcvoice.playout.sink import Discard, Sink
from rtcvoice.playout.speaker import Speaker
from rtcvoice.stats import CallStats, DeviceStats
from rtcvoice.supervisor import CallState
from rtcvoice.timings import Timings

__version__ = "0.1.0"

__all__ = [
    "ApiKey",
    "ApiKeyFile",
    "AzureApiKey",
    "Call",
    "CallEnded",
    "CallState",
    "CallStats",
    "CallUsage",
    "ConfigError",
    "CredentialsError",
    "Device",
    "DeviceChange",
    "DeviceChanged",
    "DeviceError",
    "DeviceStats",
    "Discard",
    "EntraToken",
    "EphemeralToken",
    "EventsDropped",
    "FileSink",
    "FileSource",
    "HandlerError",
    "IceServer",
    "LimitNear",
    "LimitReached",
    "Limits",
    "Microphone",
    "ModelPrice",
    "PcmSource",
    "PipeSink",
    "PipeSource",
    "Reply",
    "ResponseUsage",
    "RtcVoiceError",
    "ServerError",
    "SignalingError",
    "Silence",
    "Sink",
    "Source",
    "Speaker",
    "Status",
    "Timings",
    "TokenCounts",
    "TokenUrl",
    "ToolCall",
    "ToolCancelled",
    "ToolFailed",
    "ToolFailure",
    "ToolFinished",
    "ToolSet",
    "ToolStarted",
    "TransportError",
    "Turn",
    "TurnLatency",
    "connect",
    "devices",
    "tool",
]

_starting.finished()
