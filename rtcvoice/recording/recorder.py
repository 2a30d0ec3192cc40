"""Writes the facts of one call into its folder; a listener to facts, so in a thread of its own.

The folder is made when the first connection is up, for its name has that one's id; what happened
before waits until then. What a batch of facts made is in the files at its end. When something
cannot be written, or the recording has the bytes that it may have, it goes no further: it is told
once, and the call goes on.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rtcvoice.call import facts
from rtcvoice.call.facts import Fact
from rtcvoice.sound.samples import DEFAULT_RATE
from rtcvoice.system.emulators import is_emulator

from .format import (
    EVENTS,
    FORMAT,
    STATS,
    TURNS,
    CallFolder,
    LineFile,
    StereoWave,
    audio_name,
    folder_name,
)
from .local_events import local_event
from .masks import masked_text, masked_value, without_sound
from .options import Recording, remove_old
from .timeline import LEFT, RIGHT, Timeline

__all__ = ["Recorder"]

logger = logging.getLogger(__name__)

PART = 3600
"""Seconds of audio in one file."""

MOST_EARLY = 10_000
"""Facts that wait for the first connection."""

_OPTIONS = (
    *("type", "model", "session", "base_url", "direct"),
    *("transport", "ice_transport_policy", "ice_servers", "downlink_bps"),
    *("connect_timeout", "liveness_timeout", "close_timeout"),
)
"""The options that are recorded. No key, token or proxy is among them."""


class Recorder:
    """Records one call as `options` say; a `FactListener`, called by one thread."""

    def __init__(self, options: Recording) -> None:
        self.wants_audio = options.audio
        self._options = options
        self._early: list[Fact] | None = []
        self._files: _Files | None = None
        self._began = 0.0
        self._call: dict[str, Any] = {}
        self._dirty = False
        self._dropped = 0
        self._stopped = False
        self._leg_known = False
        self._timeline = Timeline()

    def take(self, batch: Sequence[Fact], dropped: int) -> None:
        """Write the facts down; see `FactListener.take`. Never raises."""
        try:
            if not self._stopped:
                self._write(batch, dropped)
        except (OSError, ValueError) as exc:  # ValueError: a path with a zero byte in it
            self._stop(str(exc))
        if any(isinstance(fact, facts.CallOver) for fact in batch):
            self._close()

    def _write(self, batch: Sequence[Fact], dropped: int) -> None:
        if dropped and not self._dropped:
            logger.warning("x the recording is too slow: some of the call is missing in it")
        if dropped:
            self._dropped += dropped
            self._call["dropped"], self._dirty = self._dropped, True
        for fact in batch:
            self._note(fact)
            if self._early is None:
                self._record(fact)
            elif isinstance(fact, facts.LegUp | facts.CallOver):
                self._open(fact)
                early, self._early = self._early, None
                for each in (*early, fact):
                    self._record(each)
            elif len(self._early) < MOST_EARLY:
                self._early.append(fact)
        if self._files is not None:
            over = any(isinstance(fact, facts.CallOver) for fact in batch)
            self._save(everything=over)

    def _open(self, fact: facts.LegUp | facts.CallOver) -> None:
        """Make the folder."""
        call_id = fact.leg_id if isinstance(fact, facts.LegUp) else ""
        root, began_at = self._options.folder, self._call.get("began_at", time.time())
        if self._options.keep_days is not None:
            remove_old(root, self._options.keep_days, began_at)
        self._files = _Files(CallFolder(root, folder_name(began_at, call_id)), self._options)

    def _note(self, fact: Fact) -> None:
        """Keep what `call.json` tells."""
        call = self._call
        match fact:
            case facts.CallStarted():
                self._began = fact.time
                call |= _head(fact, audio=self.wants_audio) | {"dropped": self._dropped}
            case facts.LegUp():
                self._leg_known = bool(fact.leg_id)
                if is_emulator(str(call["options"].get("base_url"))):
                    call["emulator"] = True
                if not call["call_id"]:
                    call["call_id"] = masked_text(fact.leg_id)
                leg = {"id": fact.leg_id, "began": self._at(fact.time), "ended": None, "why": ""}
                call["legs"].append(masked_value({**leg, "route": fact.route, "via": fact.via}))
            case facts.EventReceived(in_use=True) if fact.leg_id and not self._leg_known:
                self._leg_known = True  # of a WebSocket it is known only now
                call["call_id"] = call["call_id"] or masked_text(fact.leg_id)
                if call["legs"]:
                    call["legs"][-1]["id"] = masked_text(fact.leg_id)
            case facts.LegEnded():
                if call["legs"]:
                    ended = {"ended": self._at(fact.time), "why": masked_text(fact.reason)}
                    call["legs"][-1] |= ended
            case facts.StageBegan():
                call["stages"].append({"stage": fact.stage, "began": self._at(fact.time)})
            case facts.StageEnded():
                for stage in call["stages"]:
                    if stage["stage"] == fact.stage:
                        stage["seconds"] = round(fact.seconds, 4)
            case facts.CallReady():
                call["ready"] = self._at(fact.time)
                call["timings"] = {name: round(each, 4) for name, each in fact.timings.items()}
            case facts.CallOver():
                reason, cause = fact.reason, fact.reason.__cause__
                call["end"] = {
                    "time": self._at(fact.time),
                    "normal": reason.normal,
                    "reason": masked_text(str(reason)),
                    "cause": masked_text(f"{type(cause).__name__}: {cause}") if cause else "",
                }
                call["usage"] = _usage(fact.usage)
            case _:
                return
        self._dirty = True

    def _record(self, fact: Fact) -> None:
        """Write a fact to the files; what is not for them is in `call.json`."""
        files = self._files
        assert files is not None
        match fact:
            case facts.AudioSent() | facts.AudioHeard():
                side = LEFT if isinstance(fact, facts.AudioSent) else RIGHT
                self._timeline.put(
                    side,
                    fact.samples,
                    rate=fact.rate,
                    index=fact.index,
                    time=max(0.0, fact.time - self._began),
                )
            case facts.EventReceived() | facts.EventSent():
                direction = "out" if isinstance(fact, facts.EventSent) else "in"
                leg = {} if fact.in_use else {"leg": masked_text(fact.leg_id) or "?"}
                body = _event(fact.text, raw=self._options.raw)
                files.event({"time": self._at(fact.time), "dir": direction, **leg, **body})
            case facts.StatsTick():
                files.stats.write(
                    {
                        "time": self._at(fact.time),
                        "stats": asdict(fact.stats),
                        "usage": _usage(fact.usage),
                        "latency": fact.latency,
                    }
                )
            case facts.TurnEnded():
                turn = {**asdict(fact.turn), "began": self._at(fact.turn.began)}
                files.turns.write({"time": self._at(fact.time), "turn": masked_value(turn)})
            case facts.LatencyMeasured():
                latency = {
                    name: self._at(each) if isinstance(each, float) else each
                    for name, each in asdict(fact.latency).items()
                }
                files.turns.write({"time": self._at(fact.time), "latency": latency})
            case _:
                if (event := local_event(fact)) is not None:
                    line = {"time": self._at(fact.time), "dir": "local"}
                    files.event({**line, "event": masked_value(event)})

    def _save(self, *, everything: bool) -> None:
        files = self._files
        assert files is not None
        if self.wants_audio:
            while len(frames := self._timeline.take(everything=everything)):
                files.add_audio(frames.astype("<i2").tobytes())
        if self._dirty:
            files.write_call(self._call)
            self._dirty = False
        files.flush()

    def _stop(self, reason: str) -> None:
        self._stopped = True
        logger.error("x the call is recorded no further: %s", masked_text(reason))
        if self._files is not None:
            with suppress(OSError):
                self._call["stopped"] = masked_text(reason)
                self._files.place.write_call(self._call)
        self._close()

    def _close(self) -> None:
        self._stopped = True
        self._early = None
        if self._files is not None:
            self._files.close()
            self._files = None

    def _at(self, moment: float) -> float:
        return max(0.0, round(moment - self._began, 4))


class _Files:
    """The files of one call, which together have as many bytes as they may."""

    def __init__(self, place: CallFolder, options: Recording) -> None:
        self.place = place
        self._left = options.max_bytes
        self._events: LineFile | None = None
        self._wave: StereoWave | None = None
        self._part = self._seconds_left = 0
        self._opened: list[LineFile | StereoWave] = []
        self.stats = self._lines(STATS)
        self.turns = self._lines(TURNS)
        if options.events:
            self._events = self._lines(EVENTS)
        if options.audio:
            self._next_part()

    def event(self, line: dict[str, Any]) -> None:
        """Write an event, if they are wanted."""
        if self._events is not None:
            self._events.write(line)

    def add_audio(self, frames: bytes) -> None:
        """Add stereo frames; they roll over into another file each hour."""
        while frames:
            if not self._seconds_left:
                self._next_part()
            assert self._wave is not None
            part = frames[: self._seconds_left]
            self._take(len(part))
            self._wave.write(part)
            self._seconds_left -= len(part)
            frames = frames[len(part) :]

    def write_call(self, call: dict[str, Any]) -> None:
        """Write `call.json` anew."""
        self.place.write_call(call)

    def flush(self) -> None:
        """Let everything be in the files. Raises OSError when there is no room for it."""
        for file in self._opened:
            if isinstance(file, LineFile):
                self._take(file.waiting)
                file.flush()

    def close(self) -> None:
        """Close everything. Never raises."""
        for file in (*self._opened, self.place):
            file.close()

    def _lines(self, name: str) -> LineFile:
        file = self.place.lines(name)
        self._opened.append(file)
        return file

    def _next_part(self) -> None:
        if self._wave is not None:
            self._wave.close()
            self._opened.remove(self._wave)
        self._part += 1
        self._wave = self.place.wave(audio_name(self._part), rate=DEFAULT_RATE)
        self._opened.append(self._wave)
        self._seconds_left = PART * DEFAULT_RATE * 4

    def _take(self, size: int) -> None:
        if size > self._left:
            raise OSError("it has as many bytes as it may have (max_bytes)")
        self._left -= size


def _head(fact: facts.CallStarted, *, audio: bool) -> dict[str, Any]:
    options = {name: fact.options[name] for name in _OPTIONS if name in fact.options}
    options["ice_servers"] = [_plain(each) for each in options.get("ice_servers", ())]
    return {
        "format": FORMAT,
        "made_by": "rtcvoice",
        "versions": _versions(),
        "call_id": "",
        "began_at": round(fact.unix_time, 3),
        "audio_rate": DEFAULT_RATE if audio else None,
        "options": masked_value(options),
        "stages": [],
        "timings": {},
        "ready": None,
        "legs": [],
        "dropped": 0,
        "stopped": "",
        "usage": None,
        "end": None,
    }


def _plain(server: Any) -> Any:
    return asdict(server) if is_dataclass(server) and not isinstance(server, type) else server


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in ("rtcvoice", "aiortc", "av", "numpy"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _usage(usage: Any) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "model": usage.model,
        "responses": len(usage.responses),
        "tokens": asdict(usage.tokens),
        "cost": usage.cost,
        "known_cost": usage.known_cost,
    }


def _event(text: str, *, raw: bool) -> dict[str, Any]:
    """Return what a message is in a line: an object, or its text where it is none."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if isinstance(event, dict):
        return {"event": masked_value(event if raw else without_sound(event), raw=raw)}
    return {"text": masked_text(text)}
