"""The model that the SDK's sessions talk to: what they ask is done by a call over WebRTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from agents.exceptions import UserError
from agents.realtime.model import RealtimeModel, RealtimeModelConfig, RealtimeModelListener
from agents.realtime.model_events import RealtimeModelConnectionStatusEvent
from agents.realtime.model_inputs import RealtimeModelSendEvent

import rtcvoice
from rtcvoice.config.call_config import DEFAULT_MODEL
from rtcvoice.config.dialect import is_live, is_translation
from rtcvoice.config.session_fields import UNSET, Unset, merged, set_only

from .commands import Commands
from .running import Running
from .sent_sound import SentSound
from .settings import OF_THE_AGENT, connect_options, session_of
from .told import Told

__all__ = ["WebRTCModel"]

OF_THE_SESSION = "session"

NOT_CONNECTED = "WebRTCModel is not connected: begin the session first"


class WebRTCModel(RealtimeModel):
    """`RealtimeRunner(agent, model=WebRTCModel())`: the agent by WebRTC, on this machine's devices.

    source: what the model hears; by default the microphone, without what the loudspeaker plays.
    "session": what the program gives to `session.send_audio`.
    sink: where the answer is played; by default the loudspeaker. None: nowhere.
    audio: whether the session's `audio` events come, too: what is heard, when it is heard. With
    `sink=None` the program plays it, and tells its `RealtimePlaybackTracker`; else that is told.
    drain: whether an answer that has been made is heard to its end when the session is closed, for
    30 s at most: `agent_end` comes when an answer has been made, and many programs end there.
    options: of `rtcvoice.connect`, but for those that the agent and its model_settings have.

    One session at a time; a closed one may be followed by another. Raises UserError for an option
    that has its place elsewhere.
    """

    def __init__(
        self,
        *,
        source: rtcvoice.Source | Literal["session"] | Unset | None = UNSET,
        sink: rtcvoice.Sink | Unset | None = UNSET,
        audio: bool = False,
        drain: bool = True,
        **options: Any,
    ) -> None:
        for name in options.keys() & OF_THE_AGENT.keys():
            raise UserError(f"{name}= is no option of WebRTCModel: {OF_THE_AGENT[name]}")
        self._sends_sound = source == OF_THE_SESSION
        self._audio, self._drain = audio, drain
        self._tells_tracker = not (audio and sink is None)  # else the program plays the sound
        self._options = options | set_only({"source": source, "sink": sink})
        self._told = Told()
        self._connecting = False
        self._running: Running | None = None
        self._commands: Commands | None = None

    @property
    def call(self) -> rtcvoice.Call:
        """The call of the session that runs. Raises UserError when there is none."""
        if self._running is None:
            raise UserError(NOT_CONNECTED)
        return self._running.call

    def add_listener(self, listener: RealtimeModelListener) -> None:
        """Tell `listener` of everything from now on."""
        if listener not in self._told.listeners:
            self._told.listeners.append(listener)

    def remove_listener(self, listener: RealtimeModelListener) -> None:
        """Tell `listener` of nothing more."""
        if listener in self._told.listeners:
            self._told.listeners.remove(listener)

    async def connect(self, options: RealtimeModelConfig) -> None:
        """Make the call; returns when it is ready.

        Raises UserError for what is wrong with the options or the key, and what `rtcvoice.connect`
        raises for everything else.
        """
        if self._connecting or self._running is not None:
            raise UserError("WebRTCModel is connected already: one session at a time")
        self._connecting = True
        sent_sound = SentSound() if self._sends_sound else None
        try:
            given = await self._connect_options(options)
            call = await rtcvoice.connect(**given | ({"source": sent_sound} if sent_sound else {}))
        except (rtcvoice.ConfigError, rtcvoice.CredentialsError) as exc:
            raise UserError(str(exc)) from exc
        finally:
            self._connecting = False
        tracker = options.get("playback_tracker") if self._tells_tracker else None
        if tracker is not None:
            tracker.set_audio_format("pcm16")
        self._running = Running(call, self._told, tracker=tracker, audio=self._audio)
        self._commands = Commands(self._running, self._told, sent_sound)
        await self._told.tell([RealtimeModelConnectionStatusEvent(status="connected")])

    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        """Do what the session asks.

        Raises UserError for what cannot be done, TransportError for what cannot be sent, CallEnded.
        """
        await self._connected().do(event)

    async def send_event_if(
        self, event: RealtimeModelSendEvent, send_if: Callable[[], bool]
    ) -> bool:
        """Send what the user says if `send_if` holds, and nothing else is about to be answered.

        Nothing is sent while the call connects again. Returns whether it was sent.
        """
        return await self._connected().do_if(event, send_if)

    async def close(self) -> None:
        """Hang up; once more does nothing."""
        if (running := self._running) is None:
            return
        await running.aclose(drain=self._drain)
        if self._running is running:
            self._running = self._commands = None

    def _connected(self) -> Commands:
        if self._commands is None:
            raise UserError(NOT_CONNECTED)
        return self._commands

    async def _connect_options(self, config: Mapping[str, Any]) -> dict[str, Any]:
        settings = config.get("initial_model_settings") or {}
        model = settings.get("model_name") or DEFAULT_MODEL
        given = self._options | connect_options(config) | {"model": model}
        if is_live(given) or is_translation(given):
            raise UserError(
                f"the Agents SDK speaks the Realtime API: {model!r}, or api=, is for another one"
            )
        session = await session_of(settings, begins=True)
        given["session"] = merged(given.get("session") or {}, session)
        return given
