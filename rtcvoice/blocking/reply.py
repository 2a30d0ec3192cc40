"""An answer, and the block of push to talk, in a blocking call."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rtcvoice.conversation.asking.reply import Reply as AsyncReply
from rtcvoice.conversation.asking.talk import Talk as AsyncTalk
from rtcvoice.conversation.state.records import Status
from rtcvoice.events import Usage
from rtcvoice.sound.samples import Samples

from .loop_thread import LoopLink
from .streams import Stream

__all__ = ["Reply", "Talk"]


class Reply:
    """What the assistant answers. `for piece in reply` gives its text as it is made.

    When the call ends first, waiting raises CallEnded; when the server fails to answer, it raises
    ServerError.
    """

    def __init__(self, link: LoopLink, reply: AsyncReply) -> None:
        self._link = link
        self._reply = reply

    @property
    def response_ids(self) -> list[str]:
        """Ids of its responses: one, and one more for each round of function calls."""
        return self._link.look(lambda: self._reply.response_ids)

    @property
    def item_id(self) -> str | None:
        """Id of its latest message; None before there is one."""
        return self._reply.item_id

    @property
    def usage(self) -> Usage | None:
        """What it cost in tokens, all responses together; None before it is known."""
        return self._link.look(lambda: self._reply.usage)

    @property
    def text_so_far(self) -> str:
        """Its text as far as it is made; several messages are separated by a line break."""
        return self._link.look(lambda: self._reply.text_so_far)

    @property
    def audio(self) -> Samples:
        """Its sound so far as the sink got it: int16 mono at `rate`, complete after `played()`."""
        return self._link.look(lambda: self._reply.audio)

    @property
    def rate(self) -> int:
        """Sample rate of `audio`: the sink's."""
        return self._reply.rate

    @property
    def status(self) -> Status:
        """in progress until it is made, then completed, interrupted (even while played), failed."""
        return self._reply.status

    @property
    def reason(self) -> str:
        """Why it was cut short or failed, in the server's words; empty otherwise."""
        return self._reply.reason

    @property
    def done(self) -> bool:
        """Whether all of it is made; it may be heard for seconds yet."""
        return self._reply.done

    def text(self) -> str:
        """Wait until all of it is made and return its text; of an interrupted one what there is."""
        return self._link.run(self._reply.text())

    def played(self) -> None:
        """Wait until it has been heard to its end, or was cut off."""
        self._link.run(self._reply.played())

    def __iter__(self) -> Iterator[str]:
        return Stream(self._link, aiter(self._reply))

    def __repr__(self) -> str:
        return self._link.look(lambda: repr(self._reply))


class Talk:
    """One press of the key, from entering the block to leaving it; see `rtcvoice.Talk`."""

    def __init__(self, link: LoopLink, talk: AsyncTalk) -> None:
        self._link = link
        self._talk = talk

    @property
    def reply(self) -> Reply | None:
        """The answer, after the block; None after a slip, and where none is asked for."""
        reply = self._talk.reply
        return None if reply is None else Reply(self._link, reply)

    def __enter__(self) -> Self:
        self._link.run(self._talk.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._link.run(self._talk.__aexit__(exc_type, exc, traceback))
