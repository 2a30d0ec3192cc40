"""Talk to realtime voice models from Python.

    async with rtcvoice.connect(source=..., sink=...) as call:
        async for event in call: ...

The map of the package: the three ways that audio and events take through a call, file by file,
and how a call begins and ends.

    what the model hears
      device/line.py:Line             the device's thread, 10 ms at a time
      capture/microphone.py:Microphone.process, .read
      capture/echo/                   takes the loudspeaker out
      capture/track.py:SourceTrack.run    Opus, sent when a packet is due
      wire/_rtp_sender.py             header, encryption, the socket

    what is heard of the model
      wire/_rtp_receiver.py:DirectReceiver.take   an RTP packet from the socket, decrypted
      wire/leg.py:Leg                 hands it to whoever is attached
      playout/player.py:Player.insert_packet, .pull   pulled by the sink
      playout/engine.py:PlayoutEngine     jitter buffer, decoder, loss, tempo
      playout/speaker.py:Speaker.process ==> device

    what is said about it
      wire/leg.py:Leg                 a text of the event channel
      conversation/road.py:CallConversation.receive   what it means, who waited for it
      conversation/listening/dispatcher.py:Dispatcher.publish ==> your handler
      call/call.py:Call.ask           and back: conversation/asking/requesting.py
      conversation/road.py:CallConversation.send   the one way out ==> wire

    how a call comes up, and ends
      call/connect.py:connect         the options, checked at once
      call/composing.py:Composing     composes: leg, ends, conversation, and the call last
      call/connecting.py:Connecting.run   token, offer, answer, ICE, DTLS, channel
      call/roads.py:Roads             where the roads meet, over one leg at a time
      call/life.py:Life               watches, and closes once

What happens is told as facts (`call/facts.py`) to whoever listens: `recording/` writes them, does
recorded calls again, and shows them as a page. `rest/` is what is asked by HTTP; `sound/` is what
is done to samples everywhere; `events` has every event of the API as a typed struct; `emulator` is
a local server for tests, without key and network; `live/` and `translation/` are the APIs of other
kinds of models; `call_server/` and `token_server/` serve web pages and apps; `fleet/` makes many
calls; `network/` makes networks bad, for tests; `telemetry/` is OpenTelemetry; `integrations/` are
frameworks of others with rtcvoice in them; `cli/` is the command line. Each folder that users meet
has a guide, `README.md`.

A public name is imported when it is first used. `import rtcvoice` takes almost no time, and what a
call needs is imported while its first request travels.
"""

from rtcvoice.public_names import MODULE_OF, MODULES

TYPE_CHECKING = False  # as typing has it, which takes longer to import than all of this
if TYPE_CHECKING:
    from rtcvoice import blocking as blocking
    from rtcvoice import emulator as emulator
    from rtcvoice import errors as errors
    from rtcvoice import events as events
    from rtcvoice.call.attach import attach
    from rtcvoice.call.bridge import Bridge
    from rtcvoice.call.call import Call
    from rtcvoice.call.connect import connect
    from rtcvoice.call.current import current_call
    from rtcvoice.call.end_call import end_call
    from rtcvoice.call.legs import LegFacts
    from rtcvoice.call.life import CallState
    from rtcvoice.call.message import Clip, Image
    from rtcvoice.call.prepare import Prepared, prepare
    from rtcvoice.call.reconnect import Reconnect
    from rtcvoice.call.timings import Timings
    from rtcvoice.call_server.callers import CallerLimits
    from rtcvoice.call_server.http import CallerRequest
    from rtcvoice.call_server.server import CallServer
    from rtcvoice.capture.file import FileSource
    from rtcvoice.capture.microphone import Microphone
    from rtcvoice.capture.pipe import PipeSource
    from rtcvoice.capture.source import PacedSource, PcmChunk, PcmSource, Silence, Source
    from rtcvoice.conversation.accounts.latency import TurnLatency
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.accounts.usage import CallUsage, ResponseUsage, TokenCounts
    from rtcvoice.conversation.asking.reply import Reply
    from rtcvoice.conversation.asking.response_options import ResponseOptions, SpokenOptions
    from rtcvoice.conversation.asking.talk import Talk
    from rtcvoice.conversation.listening.expected import Expected
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.listening.subscription import Subscription
    from rtcvoice.conversation.listening.turn_stream import TurnStream
    from rtcvoice.conversation.state.history_entries import (
        HistoryEntry,
        HistoryFunctionCall,
        HistoryFunctionCallOutput,
        HistoryImage,
        HistoryItem,
        HistoryMessage,
    )
    from rtcvoice.conversation.state.records import Status
    from rtcvoice.conversation.state.turns import Turn
    from rtcvoice.conversation.tools.function_tool import ToolCall, tool
    from rtcvoice.conversation.tools.later import tool_progress
    from rtcvoice.conversation.tools.mcp.server import McpServer
    from rtcvoice.conversation.tools.toolset import ToolSet
    from rtcvoice.device.device import Device
    from rtcvoice.device.host import devices
    from rtcvoice.errors import (
        CallEnded,
        ConcurrencyError,
        ConfigError,
        CredentialsError,
        DeviceError,
        RtcVoiceError,
        ServerError,
        SignalingError,
        TransportError,
    )
    from rtcvoice.events.local import (
        AssistantStarted,
        AssistantStopped,
        Delegation,
        DeviceChange,
        DeviceChanged,
        EventsDropped,
        GuardFailed,
        GuardTripped,
        HandlerError,
        LimitNear,
        LimitReached,
        McpServerFailed,
        Reconnected,
        Reconnecting,
        ResumedAfterNoise,
        ToolCancelled,
        ToolFailed,
        ToolFailure,
        ToolFinished,
        ToolProgress,
        ToolStarted,
        UserStarted,
        UserStopped,
    )
    from rtcvoice.live.delegations import DelegatedWork
    from rtcvoice.network.settings import Network, OneWay
    from rtcvoice.playout.file import FileSink
    from rtcvoice.playout.pipe import PipeSink
    from rtcvoice.playout.sink import Discard, HeadlessSink, Sink
    from rtcvoice.playout.speaker import Speaker
    from rtcvoice.playout.tee import BlockStream
    from rtcvoice.recording.compared import ReplayResult
    from rtcvoice.recording.options import Recording
    from rtcvoice.recording.replay import ReplaySource
    from rtcvoice.recording.report.write import report
    from rtcvoice.rest.credentials import (
        ApiKey,
        ApiKeyFile,
        AzureApiKey,
        EntraToken,
        EphemeralToken,
        TokenUrl,
    )
    from rtcvoice.rest.ice_servers import IceServer
    from rtcvoice.rest.session_url import SessionUrl
    from rtcvoice.sound.samples import Block, Samples
    from rtcvoice.stats import CallStats, DeviceStats
    from rtcvoice.telemetry.options import Telemetry

__version__ = "0.1.0"

__all__ = [
    "ApiKey",
    "ApiKeyFile",
    "AssistantStarted",
    "AssistantStopped",
    "AzureApiKey",
    "Block",
    "BlockStream",
    "Bridge",
    "Call",
    "CallEnded",
    "CallServer",
    "CallState",
    "CallStats",
    "CallUsage",
    "CallerLimits",
    "CallerRequest",
    "Clip",
    "ConcurrencyError",
    "ConfigError",
    "CredentialsError",
    "DelegatedWork",
    "Delegation",
    "Device",
    "DeviceChange",
    "DeviceChanged",
    "DeviceError",
    "DeviceStats",
    "Discard",
    "EntraToken",
    "EphemeralToken",
    "EventsDropped",
    "Expected",
    "FileSink",
    "FileSource",
    "Guard",
    "GuardFailed",
    "GuardTripped",
    "HandlerError",
    "HeadlessSink",
    "HistoryEntry",
    "HistoryFunctionCall",
    "HistoryFunctionCallOutput",
    "HistoryImage",
    "HistoryItem",
    "HistoryMessage",
    "IceServer",
    "Image",
    "LegFacts",
    "LimitNear",
    "LimitReached",
    "Limits",
    "McpServer",
    "McpServerFailed",
    "Microphone",
    "ModelPrice",
    "Network",
    "OneWay",
    "PacedSource",
    "PcmChunk",
    "PcmSource",
    "PipeSink",
    "PipeSource",
    "Prepared",
    "Reconnect",
    "Reconnected",
    "Reconnecting",
    "Recording",
    "ReplayResult",
    "ReplaySource",
    "Reply",
    "ResponseOptions",
    "ResponseUsage",
    "ResumedAfterNoise",
    "RtcVoiceError",
    "Samples",
    "ServerError",
    "SessionUrl",
    "SignalingError",
    "Silence",
    "Sink",
    "Source",
    "Speaker",
    "SpokenOptions",
    "Status",
    "Subscription",
    "Talk",
    "Telemetry",
    "Timings",
    "TokenCounts",
    "TokenUrl",
    "ToolCall",
    "ToolCancelled",
    "ToolFailed",
    "ToolFailure",
    "ToolFinished",
    "ToolProgress",
    "ToolSet",
    "ToolStarted",
    "TransportError",
    "Turn",
    "TurnLatency",
    "TurnStream",
    "UserStarted",
    "UserStopped",
    "attach",
    "connect",
    "current_call",
    "devices",
    "end_call",
    "prepare",
    "report",
    "tool",
    "tool_progress",
]

if not TYPE_CHECKING:  # to a checker it would mean that every name is there

    def __getattr__(name: str) -> object:
        """Import what is asked for; from then on it is an attribute like any other."""
        from importlib import import_module

        if name in MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        value = getattr(import_module(MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *MODULES})
