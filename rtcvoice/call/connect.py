"""What users call: the options of a call, checked at once. `composing.py` makes the call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from rtcvoice.call.composing import Composing
from rtcvoice.call.dialects import (
    check_bounds,
    fork_of,
    with_history,
)
from rtcvoice.call.ends import Default, Ends
from rtcvoice.call.facts import FactListener
from rtcvoice.call.reconnect import Reconnect
from rtcvoice.call.when_given import (
    check_limits_of,
    default_microphone,
    default_speaker,
    given_guards,
    given_recording,
    given_telemetry,
    history_items,
    tool_set,
)
from rtcvoice.capture.source import Source
from rtcvoice.config.call_config import DEFAULT_MODEL, CallConfig
from rtcvoice.config.dialect import config_for
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.errors import ConfigError
from rtcvoice.playout.sink import Sink
from rtcvoice.rest.credentials import CredentialsSource
from rtcvoice.rest.ice_servers import IceServer
from rtcvoice.system.public import public

if TYPE_CHECKING:
    from rtcvoice.config.dialect import LiveOptions
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.tools.toolset import AnyTool, ToolSet
    from rtcvoice.network.settings import Network
    from rtcvoice.recording.options import Recording
    from rtcvoice.telemetry.options import Telemetry

__all__ = ["connect"]

_RECONNECT = Reconnect()
_NOT_OPTIONS = {"self", "live", "__class__"}


@public
class connect(Composing):  # noqa: N801  (reads as the verb it is: async with connect(...))
    """Connect to a realtime voice model: `async with rtcvoice.connect(...) as call`.

    On entering the block the call is ready: the event channel is open and the session configured.
    Leaving the block hangs up. Nothing happens before the block is entered; each object serves one
    call. `call = await rtcvoice.connect(...)` does the same without a block: `call.aclose()` then
    hangs up.

    Ends of the call (by default the system's devices; `None` for silence, for hearing nothing):
        source: what is sent, a `Source` such as `Microphone("USB")` or `FileSource(path)`.
        sink: where the answer is played, a `Sink` such as `Speaker("USB")` or `FileSink(path)`.
        The call opens and closes them; a closed one may be used for another call.
        With output_modalities=["text"] neither is a device by default, with type="transcription"
        the sink is not: nothing will be heard.
    Session:
        model, voice, speed, instructions, output_modalities, max_output_tokens, tool_choice,
        turn_detection, transcription, noise_reduction, and session={...} for any other field of
        the API, as is. Unset fields are the server's defaults; input transcription is on.
        type="transcription": only what is said is written down, and nobody answers.
        history: what was said before, `call.history` of an earlier call or a list of dicts such as
        {"role": "user", "text": "..."}, also as chats have them, with "content"; it is in when the
        call is ready.
        tools: functions that the model may call, plain or async, with typed parameters, and dicts
        as in the API; a `ToolSet` of them has options.
    GPT-Live (model="gpt-live-1.1", or api="live" for a deployment of it):
        backend, on_delegation: who does the work that the voice hands on: the text model that has
        `tools`, or your function (see `DelegatedWork`). delegation, triggers, data_channel: as the
        API has them. standby: seconds of silence after which the model pauses. acknowledge_after:
        seconds of work after which it is asked to say so. store: keep a recording; `call.fork()`
        needs it. What it lacks raises ConfigError; see the guide of rtcvoice/live.
    Translation (to="es", the code of a language; by model="gpt-realtime-translate"):
        what is said is heard in that language while it is said. See the guide of
        rtcvoice/translation.
    Bounds:
        limits: `Limits(cost=, seconds=, tokens=, idle=)`, warned of and then hung up at.
        price: a `ModelPrice`, where the model's own is not known or not what is paid.
        guards: what reads along while the model speaks, and may stop it: `Guard(check)`.
        reconnect: how the call goes on when its connection is lost, or the server's time for it is
        over: `Reconnect(window=...)`; None ends the call then.
    What is kept:
        record: a folder for recordings of calls, or a `Recording`, which says what is recorded. Ask
        those who will be heard in it first.
        telemetry: spans and metrics for OpenTelemetry. By default where the program has set a
        provider; False: none; a `Telemetry` says where they go.
    Where:
        base_url (or OPENAI_BASE_URL), api_key or credentials (or OPENAI_API_KEY), organization,
        project, safety_identifier; direct=True posts offer and session in one request with the
        key instead of minting a token first. credentials is an ApiKey, EphemeralToken, ApiKeyFile,
        TokenUrl, AzureApiKey, EntraToken, or a function, plain or async, that returns a key or
        token; it is asked for every call. For GPT-Live a SessionUrl in place of a token.
    Network:
        proxy (for HTTP, and for media by TCP; or HTTPS_PROXY), ca_file (trusted in addition; or
        SSL_CERT_FILE),
        ice_servers (or RTCVOICE_ICE_SERVERS) such as ["turn:user:password@host?transport=tcp"],
        ice_transport_policy "all" or "relay" (or RTCVOICE_ICE_TRANSPORT_POLICY),
        transport "auto" (the best that gets through), "webrtc" (UDP, or TCP where the network lets
        no UDP through; TCP goes through the proxy of `proxy` or the environment, too) or
        "websocket" (as all of HTTP; without means against lost packets).
        downlink_bps: bits per second that the network brings down, where that is less than about
        60_000: the server is asked for less Opus, in longer packets.
        network: a bad one, made here, for tests: `Network(...)`, {"loss": 0.05}, "wifi".
    Timeouts in seconds: connect_timeout (10) for all stages together, liveness_timeout (10) of
        hearing nothing at all (a server that is silent in between is sure to be heard only every
        6 s), close_timeout (5).

    Raises ConfigError at once; on entering CredentialsError, SignalingError, DeviceError or
    TransportError (its `stage` says how far it got). Cancelling the entering closes everything.
    """

    def __init__(
        self,
        *,
        # Ends
        source: Source | Default | None = Default.DEVICE,
        sink: Sink | Default | None = Default.DEVICE,
        # Session
        type: str = "realtime",  # noqa: A002  (as the API has it)
        model: str = DEFAULT_MODEL,
        voice: str | dict[str, str] | Unset = UNSET,
        speed: float | Unset = UNSET,
        instructions: str | Unset = UNSET,
        output_modalities: list[str] | Unset = UNSET,
        turn_detection: Mapping[str, object] | str | Unset | None = UNSET,
        transcription: Mapping[str, object] | str | Unset | None = UNSET,
        noise_reduction: Mapping[str, object] | str | Unset | None = UNSET,
        max_output_tokens: int | str | Unset = UNSET,
        tools: ToolSet | Iterable[AnyTool] | None = None,
        tool_choice: str | dict[str, object] | Unset = UNSET,
        session: Mapping[str, object] | Unset = UNSET,
        to: str | None = None,
        history: Iterable[Mapping[str, object]] = (),
        # Bounds
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        guards: Guard | Iterable[Guard] = (),
        reconnect: Reconnect | None = _RECONNECT,
        # What is kept
        record: str | PathLike[str] | Recording | None = None,
        telemetry: Telemetry | bool | None = None,
        # Where
        base_url: str | None = None,
        api_key: str | None = None,
        credentials: CredentialsSource | None = None,
        direct: bool = False,
        organization: str | Unset | None = UNSET,
        project: str | Unset | None = UNSET,
        safety_identifier: str | None = None,
        # Network
        proxy: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        ice_servers: Sequence[IceServer | Mapping[str, object] | str] | str | None = None,
        ice_transport_policy: str | None = None,
        transport: str = "auto",
        downlink_bps: float | None = None,
        network: Network | Mapping[str, object] | str | None = None,
        # Timeouts, in seconds
        connect_timeout: float = 10.0,
        liveness_timeout: float = 10.0,
        close_timeout: float = 5.0,
        **live: Unpack[LiveOptions],
    ) -> None:
        given = locals()
        super().__init__()
        self._given: dict[str, Any] = {
            name: given[name] for name in given.keys() - _NOT_OPTIONS
        } | live
        options = {f.name: given[f.name] for f in fields(CallConfig)} | {"to": to} | live
        self._tools = None if tools is None else tool_set(tools)
        options["tools"] = UNSET if self._tools is None else self._tools.definitions
        config = config_for({name: v for name, v in options.items() if v is not UNSET})
        self._config, self._history = config, history_items(history)
        if config.is_continuous:
            self._config, self._history = with_history(config, self._history)
        if config.is_silent:  # nobody will be heard; and who writes does not want to be overheard
            sink = None if sink is Default.DEVICE else sink
            writes = source is Default.DEVICE and config.type == "realtime"
            source = None if writes else source
        if limits is not None or price is not None:
            check_limits_of(config.model, limits, price)
        if not (reconnect is None or isinstance(reconnect, Reconnect)):
            raise ConfigError(
                f"reconnect= is a {reconnect.__class__.__name__}",
                hint="rtcvoice.Reconnect(window=60), or None",
            )
        self._reconnect = reconnect
        self._limits, self._price, self._guards = limits, price, given_guards(guards)
        check_bounds(config, self._guards, limits)
        self._ends = Ends(
            default_microphone() if source is Default.DEVICE else source,
            default_speaker() if sink is Default.DEVICE else sink,
        )
        self._listeners: list[FactListener] = []
        self._recording = given_recording(record)
        self._telemetry = given_telemetry(telemetry)

    def _forked(self, session_id: str, said: list[Any], options: dict[str, Any]) -> connect:
        """Return the making of a call that goes on from the end of this one."""
        given = {n: v for n, v in self._given.items() if n != "history"}
        another = connect(**(given | options), history=said)
        another._fork_of = fork_of(session_id, another._config, options)
        return another
