"""`rtcvoice.attach`: the brain of a call whose audio is somebody else's.

    a browser <== audio, WebRTC ==> the service <== events, WebSocket ==> attach(call_id)

It is `connect` with other parts: a socket in place of a leg, roads on which nothing is sent and
nothing is played, and a rescue that attaches again to the same session.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack, cast

from rtcvoice.call.attaching import NO_TOKEN, Attaching, attaching_for
from rtcvoice.call.connect import connect
from rtcvoice.call.reconnect import Reconnect
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import DEFAULT_MODEL
from rtcvoice.config.dialect import AttachOptions, refuse_others
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.errors import ConfigError, CredentialsError, one_line
from rtcvoice.rest.credentials import CredentialsSource, EphemeralToken, TokenUrl
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.system.public import public

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.call.life import Life
    from rtcvoice.call.listeners import Facts
    from rtcvoice.call.roads import AnyConversation, CallLeg, Roads
    from rtcvoice.call.ways import AnyConnecting
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.road import CallConversation
    from rtcvoice.conversation.tools.toolset import AnyTool, ToolSet
    from rtcvoice.live.road import LiveConversation
    from rtcvoice.recording.options import Recording
    from rtcvoice.telemetry.options import Telemetry
    from rtcvoice.wire.sideband_leg import Watch

__all__ = ["attach"]

logger = logging.getLogger(__name__)

LIVE_ID = "live_"
MOST_ID = 200
"""Characters of a call's id."""

FIXED_IN_LIVE = ("instructions", "voice", "tool_choice")
"""Options of sessions that a session of GPT-Live takes only when it is created."""

_RECONNECT = Reconnect()


@public
class attach(connect):  # noqa: N801  (reads as the verb it is: async with attach(...))
    """Attach to a call that goes on already: `async with rtcvoice.attach(call_id) as call`.

    For the call of a browser or a device, or one by telephone (SIP): its audio goes past this
    program, which has everything else: events, turns, tools, `ask`, `say`, `interrupt`, `update`,
    usage. What needs the audio raises ConfigError. Leaving the block leaves the call, which goes
    on; `call.hangup()` ends it, and so do limits and `end_call`.

    call_id: `rtc_...` of the Realtime API, `live_...` of GPT-Live; api="live" for another one.
    Session: the options of `rtcvoice.connect`; only what is given is changed, tools included. Of
    GPT-Live only tools, backend, triggers, acknowledge_after and session can change;
    on_delegation answers what the voice hands on.
    Bounds: limits, price, guards as in `connect`. On the Realtime API nobody tells when the other
    side has left, so `limits=Limits(idle=60)` is what ends a call that is forgotten.
    reconnect: how long it is tried to attach again when the socket is lost: the call and its
    session go on meanwhile. None: not at all.
    Where, network, timeouts: as in `connect`. It takes an API key, and no ephemeral token.

    Raises ConfigError and CredentialsError at once; on entering SignalingError (status 404: there
    is no such call any more), ServerError for a session that is refused, TransportError.
    """

    def __init__(
        self,
        call_id: str,
        *,
        # Session
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
        organization: str | Unset | None = UNSET,
        project: str | Unset | None = UNSET,
        # Network
        proxy: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        # Timeouts, in seconds
        connect_timeout: float = 10.0,
        liveness_timeout: float = 10.0,
        close_timeout: float = 5.0,
        **live: Unpack[AttachOptions],
    ) -> None:
        given = locals()
        refuse_others(live, AttachOptions, "attach()")
        names = given.keys() - {"self", "call_id", "live", "__class__"}
        self._call_id = _checked(call_id)
        options: dict[str, Any] = {name: given[name] for name in names} | live
        options["api"] = live.get("api") or _api_of(self._call_id)
        super().__init__(source=None, sink=None, **options)
        self._changes = self._changes_of(options)
        if isinstance(credentials, EphemeralToken | TokenUrl | SessionUrl):
            raise CredentialsError(NO_TOKEN, hint="api_key=, or OPENAI_API_KEY")
        if not self._config.keeps_key:
            raise ConfigError(
                "attach() would send the key unencrypted over the network",
                hint="use an https:// base_url; http:// only where the server is on this machine",
            )
        self._ends_by_itself = self._config.is_live or _has_idle(limits)

    _doing = "attaching"
    _watch: Watch | None = None
    """Who reads along."""

    # -- the parts that differ ------------------------------------------------------------------

    def _changes_of(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that change a session of GPT-Live. Raises ConfigError."""
        return _live_changes(options) if self._config.is_live else {}

    def _connecting(self, timings: Timings) -> AnyConnecting:
        return self._attaching(timings)

    def _attaching(self, timings: Timings) -> Attaching:
        return attaching_for(self._call_id, self._config, timings, self._watch)

    def _roads(self, leg: CallLeg, facts: Facts) -> Roads:
        from rtcvoice.call.attached_roads import AttachedRoads, UnheardOutput
        from rtcvoice.playout.player import Player

        player = Player(self._ends.sink.rate, has_clock=self._ends.sink.has_clock)
        conversation = self._conversation(UnheardOutput(player, self._ends), facts)
        return AttachedRoads(self._ends, player, conversation, leg, facts)

    async def _session_ready(
        self,
        conversation: AnyConversation,
        life: Life,
        changes: dict[str, Any],
        timings: Timings,
    ) -> None:
        """Ask what the session is, for nobody tells it to who comes later; and change it."""
        with timings.stage("session"):
            await life.unless_ended(self._ask(conversation, changes))

    async def _ask(self, conversation: AnyConversation, changes: dict[str, Any]) -> None:
        if not self._config.is_live:
            await cast("CallConversation", conversation).commands.update(changes)
            return
        from rtcvoice.config.live_config import live_changes

        talk = cast("LiveConversation", conversation)
        await talk.attached()
        if changed := self._changes:
            if self._servers is not None and self._tools is not None:
                changed = changed | {"tools": self._tools.definitions}
            await talk.update(live_changes(changed, owner=talk.owner))

    def _begin_sound(self, roads: Roads, life: Life) -> None:
        """Begin nothing but the watch on the socket: there is no sound."""
        from rtcvoice.call.reattaching import Reattacher

        life.outlive(Reattacher(self._reconnect, lambda: self._attaching(Timings()), roads, life))
        if not self._ends_by_itself:
            logger.warning(
                "= nobody tells this program when the other side leaves call %s:"
                " limits=Limits(idle=60) would end it",
                self._call_id,
            )

    def _call(self, roads: Roads, life: Life, timings: Timings) -> Call:
        from rtcvoice.call.attached_call import AttachedCall, AttachedLiveCall

        return (AttachedLiveCall if self._config.is_live else AttachedCall)(roads, life, timings)


def _checked(call_id: object) -> str:
    if not isinstance(call_id, str) or not call_id.strip():
        raise ConfigError(
            f"attach({call_id!r}): that is no id of a call", hint="such as 'rtc_...' or 'live_...'"
        )
    if one_line(call_id, MOST_ID) != call_id or call_id in (".", "..") or "/" in call_id:
        raise ConfigError(
            f"attach({one_line(call_id, 80)!r}): an id of a call has no such characters",
            hint="the last part of the Location header of the answer, 'rtc_...'",
        )
    return call_id


def _api_of(call_id: str) -> str:
    return "live" if call_id.startswith(LIVE_ID) else "realtime"


def _live_changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are to change a session. Raises ConfigError for what cannot."""
    from rtcvoice.config.live_config import LIVE_CHANGEABLE, live_changes
    from rtcvoice.conversation.tools.toolset import ToolSet

    names = (*LIVE_CHANGEABLE, *FIXED_IN_LIVE)
    changes = {
        name: options[name] for name in names if options.get(name, UNSET) not in (UNSET, None)
    }
    if "tools" in changes:
        changes["tools"] = ToolSet.of(changes["tools"]).definitions
    live_changes(changes, owner="responses")
    return changes


def _has_idle(limits: Limits | None) -> bool:
    return limits is not None and limits.idle not in (None, "default")
