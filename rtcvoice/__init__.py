"""Talk to realtime voice models from Python.

    async with rtcvoice.connect(source=..., sink=...) as call:
        async for event in call: ...

Three roads lead through a call, and one crossing (`call/`) joins them:

    capture/       source -> track ==> wire                      what the model hears
    playout/       wire ==> jitter buffer -> engine -> sink      what is heard of the model
    conversation/  wire ==> event -> handler                     what is said about it

`wire/` and `rest/` are the connection: what travels as packets and text, what is asked by HTTP.
`device/` keeps the sound devices at both ends; `sound/` is what is done to samples everywhere;
`events` has every event of the API as a typed struct; `emulator` is a local server to develop and
test against, with no key and no network.
"""

from rtcvoice import _starting
from rtcvoice.call.call import Call
from rtcvoice.call.connect import connect
from rtcvoice.call.life import CallState
from rtcvoice.call.timings import Timings
from rtcvoice.capture.file import FileSource
from rtcvoice.capture.microphone import Microphone
from rtcvoice.capture.pipe import PipeSource
from rtcvoice.capture.source import PcmSource, Silence, Source
from rtcvoice.conversation.accounts.latency import TurnLatency
from rtcvoice.conversation.accounts.limits import LimitNear, LimitReached, Limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.accounts.usage import CallUsage, ResponseUsage, TokenCounts
from rtcvoice.conversation.asking.reply import Reply
from rtcvoice.conversation.listening.dispatcher import EventsDropped, HandlerError
from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.conversation.tools.events import (
    ToolCancelled,
    ToolFailed,
    ToolFailure,
    ToolFinished,
    ToolStarted,
)
from rtcvoice.conversation.tools.function_tool import ToolCall, tool
from rtcvoice.conversation.tools.toolset import ToolSet
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
from rtcvoice.playout.file import FileSink
from rtcvoice.playout.pipe import PipeSink
from rtcvoice.playout.sink import Discard, Sink
from rtcvoice.playout.speaker import Speaker
from rtcvoice.rest.credentials import (
    ApiKey,
    ApiKeyFile,
    AzureApiKey,
    EntraToken,
    EphemeralToken,
    TokenUrl,
)
from rtcvoice.rest.ice_servers import IceServer
from rtcvoice.stats import CallStats, DeviceStats

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
