"""What happened in each call, on disk: every event as a line of JSON, both voices in one WAV file.

    DIR/rtc_.../events.jsonl   {"time": 1.234, "dir": "out", "event": {...}}
    DIR/rtc_.../call.json      {"format": 1, "call_id": "rtc_...", "began_at": 1796000000.123, ...}
    DIR/rtc_.../audio.wav      24 kHz; left what the user said, as it was heard, right the assistant

The format is that of the client's recordings (`recording/format.py`), seen from this side. Events
that carry sound over a WebSocket are kept without it: it is in `audio.wav`. The call
began with the offer: before the connection stood there is silence.

Lines go to the disk as they come, audio once a second with a true header: a killed process leaves
files that can be read, short of the last second. Calls of one client, one after the other or at
once, are put together by `began_at` (`joined.py`). A disk that fails, or as many bytes as all
recordings may have together, end the recording, not the call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.errors import ConfigError
from rtcvoice.recording.format import AUDIO, EVENTS, FORMAT, CallFolder, LineFile, StereoWave
from rtcvoice.recording.masks import masked_value, without_sound

__all__ = [
    "NO_RECORDER",
    "RECORD_LIMIT",
    "AudioRecorder",
    "NoRecorder",
    "Recorder",
    "Room",
    "check_folder",
]

logger = logging.getLogger(__name__)

LAG_LIMIT = RATE_HZ // 2
"""Samples of the assistant's voice that wait for the user's; then the oldest go."""


RECORD_LIMIT = 4 * 1024**3
"""Bytes that all recordings of an emulator may have: half a day of audio. A client that sends
events as fast as it can must not fill the disk."""


class Room:
    """The bytes that are left for the recordings of all calls together."""

    def __init__(self, limit: int = RECORD_LIMIT) -> None:
        if not (isinstance(limit, int) and limit >= 0):
            raise ConfigError(f"record_limit={limit!r}", hint="a whole number of bytes")
        self._left = limit

    def take(self, size: int) -> None:
        """Use `size` bytes. Raises OSError when there are not so many left."""
        if size > self._left:
            self._left = 0
            raise OSError("the recordings have as many bytes as they may have (record_limit)")
        self._left -= size


def check_folder(folder: Path) -> None:
    """Make the folder for recordings. Raises ConfigError when that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"recordings cannot be kept in {folder}: {exc.strerror}", hint="name another folder"
        ) from exc


class AudioRecorder(Protocol):
    """Hears both sides, each in blocks of 20 ms at 24 kHz; must not raise."""

    def heard(self, samples: Pcm) -> None:
        """Take what the user said."""
        ...

    def said(self, samples: Pcm) -> None:
        """Take what the assistant said."""
        ...


class NoRecorder:
    """Keeps nothing."""

    def heard(self, samples: Pcm) -> None:
        """Forget it."""

    def said(self, samples: Pcm) -> None:
        """Forget it."""


NO_RECORDER = NoRecorder()


class Recorder:
    """Records one call into `folder`, which it makes when there is something to record.

    Belongs to one event loop; nothing raises.
    `clock` gives seconds since the call was offered, which was at `began_at` in Unix time. Both
    sides share the user's timeline: a block of the assistant's stands beside the block that was
    heard after it was said. What it writes is taken from `room`; when that is used up, the
    recording goes no further.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float],
        room: Room | None = None,
        *,
        began_at: float = 0.0,
    ) -> None:
        self._folder = folder
        self._began_at = began_at
        self._clock = clock
        self._room = room or Room()
        self._opened = False
        self._said: list[Pcm] = []
        self._waiting = 0
        self._pending: list[bytes] = []
        self._began = False
        self._failed = False
        self._place: CallFolder | None = None
        self._events: LineFile | None = None
        self._wave: StereoWave | None = None

    def _open(self) -> None:
        self._opened = True
        folder = self._folder
        try:
            place = self._place = CallFolder(folder.parent, folder.name)
            place.write_call(
                {
                    "format": FORMAT,
                    "made_by": "rtcvoice emulator",
                    "call_id": folder.name,
                    "began_at": round(self._began_at, 3),
                }
            )
            self._events = place.lines(EVENTS)
            self._wave = place.wave(AUDIO, rate=RATE_HZ)  # even of a call without audio
        except OSError as exc:
            self._fail(exc)

    def event(self, direction: str, event: dict[str, Any]) -> None:
        """Write an event; `direction` is the emulator's view: "in" came from the client."""
        seen = "out" if direction == "in" else "in"
        is_text = event.get("type") == "" and "text" in event
        self._line(
            dir=seen, **({"text": event["text"]} if is_text else {"event": without_sound(event)})
        )

    def said(self, samples: Pcm) -> None:
        """Keep it until the user's side is as far."""
        if self._failed:
            return
        self._said.append(samples)
        self._waiting += len(samples)
        while self._waiting > LAG_LIMIT:
            self._waiting -= len(self._said.pop(0))

    def heard(self, samples: Pcm) -> None:
        """Put both sides beside each other; a disk write once a second."""
        if not self._opened:
            self._open()
        if self._failed:
            return
        if not self._began:
            self._began = True
            self._pending.append(bytes(4 * round(self._clock() * RATE_HZ)))
        frames = np.zeros((len(samples), 2), np.int16)
        frames[:, 0] = samples
        at = 0
        while self._said and at < len(samples):
            head = self._said.pop(0)
            part = head[: len(samples) - at]
            frames[at : at + len(part), 1] = part
            at += len(part)
            if len(part) < len(head):
                self._said.insert(0, head[len(part) :])
        self._waiting -= at
        self._pending.append(frames.tobytes())
        if len(self._pending) >= 50:
            self._save()

    async def aclose(self) -> None:
        """Write the rest; idempotent."""
        if self._opened and not self._failed:
            self._save()
            self._close()

    def _line(self, **fields: Any) -> None:
        if not self._opened:
            self._open()
        if not self._failed and self._events is not None:
            try:
                fields = masked_value(fields, raw=True)
                size = self._events.write({"time": round(self._clock(), 4), **fields})
                self._room.take(size)
                self._events.flush()
            except OSError as exc:
                self._fail(exc)

    def _save(self) -> None:
        pending, self._pending = self._pending, []
        if not self._failed and self._wave is not None:
            try:
                frames = b"".join(pending)
                self._room.take(len(frames))
                self._wave.write(frames)
            except OSError as exc:
                self._fail(exc)

    def _fail(self, exc: OSError) -> None:
        logger.error("x the call is recorded no further: %s", exc)
        self._close()

    def _close(self) -> None:
        """Free the files; what they cannot take any more is lost."""
        self._failed = True
        self._said.clear()
        for file in (self._events, self._wave, self._place):
            if file is not None:
                file.close()
