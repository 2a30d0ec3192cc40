"""The output audio buffer of a WebRTC call, modelled by time.

A model makes speech faster than it can be heard; the surplus waits here and goes out in real time.
The shell plays what `PlayAudio` hands it from that moment on, so the position is a matter of
arithmetic: what was handed out, less what is still to come until `ends_at`. Each response has a
stream. Streams play one after the other; only the first is handed to the shell.

Where audio is instant (tests of one's own agent), nothing is handed out: an answer is over as soon
as it is made. One that is to be interrupted goes on for as long as its speech would last, unheard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

from rtcvoice.emulator.session.agenda import Agenda, Timer
from rtcvoice.emulator.session.outputs import RATE_HZ, Outbox, Pcm, PlayAudio, StopAudio

__all__ = ["Cut", "OutputBuffer", "Stream", "StreamState"]


class StreamState(Enum):
    """Where a response's audio is."""

    WAITING = auto()
    """Nothing of it has gone out: nothing was made yet, or another response is still playing."""
    PLAYING = auto()
    """It is going out, or waits for more of it to be made."""
    ENDED = auto()
    """All of it went out, or it was cleared. Whatever is still made of it is dropped."""


class Cut(NamedTuple):
    """An item whose audio was cut off, and after how much of it."""

    item_id: str
    audio_end_ms: int


@dataclass
class Stream:
    """The audio of one response."""

    response_id: str
    state: StreamState = StreamState.WAITING
    closed: bool = False
    """The response is done: no more audio will come."""
    pieces: list[Pcm] = field(default_factory=list)
    """Made, not handed out."""
    items: list[tuple[str, int]] = field(default_factory=list)
    """Which item each stretch belongs to, as (item id, first sample)."""
    made: int = 0
    handed_out: int = 0
    heard_out: Callable[[], None] | None = None
    """Called when all of it was played and nothing was dropped."""
    ends_at: float = 0.0
    """When the last sample handed out has been played."""

    def played(self, now: float) -> int:
        """Return how many samples have been played."""
        if self.state is StreamState.WAITING:
            return 0
        return max(0, self.handed_out - round(max(0.0, self.ends_at - now) * RATE_HZ))

    def cuts(self, now: float) -> list[Cut]:
        """Return the items that would be cut off if playing stopped now.

        The last one counts while more of it may come, even if all that was made has been played.
        """
        played = self.played(now)
        end_of_last = self.made if self.closed else self.made + 1
        ends = [start for _, start in self.items[1:]] + [end_of_last]
        return [
            Cut(item_id, max(0, played - start) * 1000 // RATE_HZ)
            for (item_id, start), end in zip(self.items, ends, strict=True)
            if played < end
        ]


class OutputBuffer:
    """All streams of a session. Sends `output_audio_buffer.*`; calls `on_idle` when it runs dry.

    It holds at most the speech of the responses that were made while one played; a client that
    asks for more and more speech without listening fills it until the session expires.
    """

    def __init__(
        self,
        outbox: Outbox,
        agenda: Agenda,
        *,
        on_idle: Callable[[], None],
        instant: bool = False,
    ) -> None:
        self._instant = instant
        self._outbox = outbox
        self._agenda = agenda
        self._on_idle = on_idle
        self._streams: deque[Stream] = deque()
        self._timer: Timer | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing plays and nothing waits to."""
        return not self._streams

    def open(
        self,
        response_id: str,
        audio_format: dict[str, Any],
        *,
        heard_out: Callable[[], None] | None = None,
    ) -> Stream:
        """Return a new stream, behind those that play or wait; RTP has a format of its own."""
        stream = Stream(response_id, heard_out=heard_out)
        self._streams.append(stream)
        return stream

    def write(self, stream: Stream, where: dict[str, Any], samples: Pcm) -> None:
        """Add audio of the item that `where` names; dropped when the stream has ended."""
        item_id = where["item_id"]
        if stream.state is StreamState.ENDED or not len(samples):
            return
        if not stream.items or stream.items[-1][0] != item_id:
            stream.items.append((item_id, stream.made))
        stream.made += len(samples)
        stream.pieces.append(samples)
        self._play()

    def close(self, stream: Stream) -> None:
        """Say that the response of `stream` is done: `stopped` may be sent once all is played."""
        stream.closed = True
        self._play()

    def clear(self) -> list[Cut]:
        """Drop everything, fall silent, and return the items that were cut off."""
        now = self._agenda.now
        cuts = [cut for stream in self._streams for cut in stream.cuts(now)]
        if self._streams and self._streams[0].state is StreamState.PLAYING:
            self._outbox.put(StopAudio())
            self._outbox.send(
                "output_audio_buffer.cleared", response_id=self._streams[0].response_id
            )
        for stream in self._streams:
            stream.state = StreamState.ENDED
            stream.pieces.clear()
        self._streams.clear()
        self._set_timer(None)
        return cuts

    def _play(self) -> None:
        """Bring the first stream up to date: start it, hand out what was made, end it when due."""
        if not self._streams:
            return
        while self._streams:
            stream = self._streams[0]
            self._hand_out(stream)
            if not stream.closed or stream.ends_at > self._agenda.now:
                self._set_timer(stream.ends_at if stream.closed else None)
                return
            if stream.state is StreamState.PLAYING:
                self._outbox.send("output_audio_buffer.stopped", response_id=stream.response_id)
                if stream.heard_out is not None:
                    stream.heard_out()
            stream.state = StreamState.ENDED
            self._streams.popleft()
        self._set_timer(None)
        self._on_idle()

    def _hand_out(self, stream: Stream) -> None:
        at_once = self._instant and stream.heard_out is None
        if at_once and not stream.closed:
            return
        if stream.pieces and stream.state is StreamState.WAITING:
            stream.state = StreamState.PLAYING
            self._outbox.send("output_audio_buffer.started", response_id=stream.response_id)
        for samples in stream.pieces:
            stream.handed_out += len(samples)
            if not at_once:
                stream.ends_at = max(stream.ends_at, self._agenda.now) + len(samples) / RATE_HZ
            if not self._instant:
                self._outbox.put(PlayAudio(samples, stream.response_id))
        stream.pieces.clear()

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when is None else self._agenda.at(when, self._play)
