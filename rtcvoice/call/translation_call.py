"""A translation: the same call, in which nothing can be asked of whoever speaks.

What its API has nothing for raises ConfigError, which says what takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Unpack, cast

from rtcvoice.call.live_call import LiveCall
from rtcvoice.call.message import Clip, Image
from rtcvoice.call.roads import Roads
from rtcvoice.call.timings import Timings
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.config.translation_config import translation_changes
from rtcvoice.conversation.asking.reply import Reply
from rtcvoice.conversation.asking.response_options import ResponseOptions, SpokenOptions
from rtcvoice.errors import ConfigError
from rtcvoice.events import Session
from rtcvoice.translation.road import TranslationConversation

if TYPE_CHECKING:
    from rtcvoice.call.call import AnyClientEvent, Call
    from rtcvoice.call.life import Life
    from rtcvoice.conversation.tools.toolset import ToolSet

__all__ = ["TranslationCall"]

_SPOKEN = "it translates what the source says: connect(source=FileSource(...)) speaks a file"
_REALTIME = "a Realtime model that is told to interpret by instructions= can be asked"


class TranslationCall(LiveCall):
    """A `Call` whose conversation is a translation."""

    def __init__(self, roads: Roads, life: Life, timings: Timings) -> None:
        super().__init__(roads, life, timings, forked=_no_fork)
        self._translation = cast(TranslationConversation, roads.conversation)

    # -- what an interpreter cannot be asked ------------------------------------------------------

    async def send(
        self, text: str = "", *, images: Sequence[Image] = (), audio: Clip | None = None
    ) -> None:
        """Raise ConfigError: only speech is translated."""
        raise _not_here("send", _SPOKEN)

    async def ask(
        self,
        text: str = "",
        *,
        images: Sequence[Image] = (),
        audio: Clip | None = None,
        **overrides: Unpack[ResponseOptions],
    ) -> Reply:
        """Raise ConfigError: only speech is translated."""
        raise _not_here("ask", _SPOKEN)

    async def say(self, text: str, **overrides: Unpack[SpokenOptions]) -> Reply:
        """Raise ConfigError: the interpreter says what the speaker said."""
        raise _not_here("say", _REALTIME)

    async def respond(self, **overrides: Unpack[SpokenOptions]) -> Reply:
        """Raise ConfigError: the interpreter speaks while somebody does."""
        raise _not_here("respond", _REALTIME)

    async def think(self, text: str) -> None:
        """Raise ConfigError: nothing but speech reaches the interpreter."""
        raise _not_here("think", _REALTIME)

    async def instruct(self, text: str) -> None:
        """Raise ConfigError: nothing but speech reaches the interpreter."""
        raise _not_here("instruct", _REALTIME)

    async def interrupt(self) -> None:
        """Raise ConfigError: what was said is translated to its end."""
        raise _not_here(
            "interrupt", "call.mute() gives it no more to translate; call.hangup() ends all of it"
        )

    async def seed(self, history: Iterable[Mapping[str, object]]) -> None:
        """Raise ConfigError: a translation has no history."""
        raise _not_here("seed", _REALTIME)

    async def delete(self, item_id: str) -> None:
        """Raise ConfigError: a translation has no items."""
        raise _not_here("delete", "there is nothing that the interpreter keeps")

    def resume_after_noise(self, *, on: bool = True) -> None:
        """Raise ConfigError: no sound stops the interpreter."""
        raise _not_here("resume_after_noise", "no sound stops the interpreter")

    def fork(self, **options: object) -> AbstractAsyncContextManager[Call, None]:
        """Raise ConfigError: the service keeps nothing of a translation."""
        raise _not_here("fork", "connect(to=...) begins another one")

    # -- the session ------------------------------------------------------------------------------

    async def send_event(self, event: AnyClientEvent | Mapping[str, object]) -> None:
        """Send a client event: a struct of `rtcvoice.events.translations`, or a dict."""
        await self._translation.connected()
        self._translation.send_by_hand(event)

    async def update(
        self,
        *,
        to: str | Unset = UNSET,
        instructions: str | Unset = UNSET,
        voice: str | dict[str, str] | Unset = UNSET,
        speed: float | Unset = UNSET,
        output_modalities: list[str] | Unset = UNSET,
        max_output_tokens: int | str | Unset = UNSET,
        turn_detection: Mapping[str, object] | str | Unset | None = UNSET,
        transcription: Mapping[str, object] | str | Unset | None = UNSET,
        noise_reduction: Mapping[str, object] | str | Unset | None = UNSET,
        tools: ToolSet | Iterable[object] | Unset | None = UNSET,
        tool_choice: str | dict[str, object] | Unset = UNSET,
        session: Mapping[str, object] | Unset = UNSET,
        **more: Any,
    ) -> Session:
        """Change the target language, the transcription or the noise reduction."""
        given = locals()
        names = given.keys() - {"self", "more", "__class__"}
        changes = {name: given[name] for name in names if given[name] is not UNSET} | more
        await self._translation.update(translation_changes(changes))
        return self.session


def _not_here(verb: str, instead: str) -> ConfigError:
    return ConfigError(f"{verb}() is not possible in a translation", hint=instead)


def _no_fork(
    session_id: str, said: list[Any], options: dict[str, Any]
) -> AbstractAsyncContextManager[Call, None]:
    raise _not_here("fork", "connect(to=...) begins another one")
