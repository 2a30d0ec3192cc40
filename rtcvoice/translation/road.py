"""The conversation of a translation: GPT-Live's, with events, sound and settings of its own.

    text -> decode -> users;  its meaning -> state -> turns of both languages
         -> sound in events -> the player's queue

Speaker and interpreter talk at the same time, so neither interrupts the other. Nothing can be asked
of the interpreter: the call above refuses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rtcvoice.config.session_fields import merged
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.ports import AudioOutput, Sender
from rtcvoice.conversation.speaking import SpeechOutput
from rtcvoice.errors import ConfigError
from rtcvoice.events import Session, UnknownEvent, live, translations
from rtcvoice.live.road import LiveConversation
from rtcvoice.live.state.live_state import LiveState
from rtcvoice.system import clock

from .meaning import meaning
from .sound import EventSound

__all__ = ["TranslationConversation"]

GOODBYE = 1.0
"""Seconds that the server gets to close a session: it would first say all that it still has to
say, and nobody listens any more. Who wants to hear it waits for that before."""


class TranslationConversation(LiveConversation):
    """The conversation of one translation. Made and used on its event loop only."""

    def __init__(
        self,
        output: AudioOutput,
        *,
        model: str,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        super().__init__(output, model=model, limits=limits, price=price, clock=clock)
        self.translation = translations.Session()
        """The session as the server last described it."""
        self._sound: EventSound | None = None
        self._closing = False

    # -- the leg --------------------------------------------------------------------------------

    def attach(self, sender: Sender, speech: SpeechOutput | None = None) -> None:
        """Send by this leg from now on; `speech`: where sound goes that comes in events."""
        super().attach(sender)
        self._sound = None if speech is None else EventSound(speech)

    def take_over(self, sender: Sender, speech: SpeechOutput | None = None) -> None:
        """Live in another session from now on, whose first events come next."""
        super().take_over(sender)
        self._sound = None if speech is None else EventSound(speech)

    async def ready(self, changes: dict[str, Any] | None = None) -> None:
        """Wait until the session has begun, and configure what did not travel with its request.

        Raises TransportError when the server says why it does not begin, ServerError when it
        refuses the changes.
        """
        await super().ready()
        if changes:
            await self._change(changes)

    def sent_sound(self, peak: int, at: float) -> None:
        """Take the peak of 20 ms that are sent; what was heard meanwhile is looked at, too."""
        if self._sound is not None:
            self._sound.check(self._clock())
        super().sent_sound(peak, at)

    # -- the verbs --------------------------------------------------------------------------------

    async def update(self, changes: dict[str, Any]) -> None:
        """Change the session. Raises ServerError when the server refuses; nothing is changed."""
        await self._acks.connected()
        await self._change(changes)
        self.updates = merged(self.updates, changes)

    async def _change(self, changes: dict[str, Any]) -> None:
        event = live.SessionUpdate(event_id=new_id(), session=changes)
        await self._acks.confirm(event, self.send, what="the change")

    def send_by_hand(self, event: Any) -> None:
        """Send what the user made. Raises ConfigError for what is no event of a translation."""
        struct, text = _checked(event)
        if isinstance(struct, translations.SessionClose):
            self._closing = True
        self._sender.send(text)

    async def goodbye(self, lost: asyncio.Future[Any], timeout: float) -> bool:
        """Close the session in due form; return whether the server confirmed it."""
        self._closing = True
        return await super().goodbye(lost, min(timeout, GOODBYE))

    @property
    def session(self) -> Session:
        """What of the session the Realtime API has, too, in its form."""
        known = msgspec.to_builtins(self.translation)
        return msgspec.convert({"type": "translation", **known}, Session)

    # -- inside ---------------------------------------------------------------------------------

    def _new_state(self, model: str, price: ModelPrice | None) -> LiveState:
        return LiveState(new_id, model=model, price=price, at_once=True, prepaid=0.0)

    def _read(self, text: str) -> tuple[Any, Any]:
        event = translations.decode(text)
        if isinstance(event, translations.SessionCreated | translations.SessionUpdated):
            self.translation = event.session
        elif isinstance(event, translations.OutputAudioDelta) and self._sound is not None:
            self._sound.take(event, self._clock())
        return event, meaning(event, asked_to_close=self._closing)

    def _tell_muted(self) -> None:
        """Note that silence is sent; the service is not told, for it has no mute."""
        self.state.user.muted = self._muted


def _checked(event: Any) -> tuple[translations.TranslationClientEvent, str]:
    """Return the event and its text. Raises ConfigError for what is no such event."""
    known = f"what is: {', '.join(sorted(translations.CLIENT_EVENTS))}"
    struct, text = event, ""
    if isinstance(event, Mapping):
        try:
            text = msgspec.json.encode(dict(event)).decode()
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
            raise ConfigError(f"the event cannot be written as JSON: {exc}") from exc
        struct = translations.decode_client(text)
    if isinstance(struct, UnknownEvent):
        wrong = f": {struct.error}" if struct.error else ""
        raise ConfigError(
            f"{struct.type[:80] or 'this'!r} is no event that a client sends in a translation"
            + wrong,
            hint=known,
        )
    if isinstance(struct, translations.InputAudioAppend):
        raise ConfigError(
            f"{struct.type} is sent by the call itself", hint="connect(source=...) says of what"
        )
    if type(struct) not in translations.CLIENT_EVENTS.values():
        raise ConfigError(
            f"{type(struct).__name__} is no event that a client sends in a translation", hint=known
        )
    return struct, text or translations.encode(struct)
