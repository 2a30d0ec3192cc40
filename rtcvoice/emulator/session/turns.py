"""From input audio to turns: detection or push-to-talk, commit, and the prompt after long silence.

The input buffer begins where a turn began (or was cleared); positions count all samples since the
session began. What a turn sounded like is kept for whoever knows clips again, up to two minutes.
"""

from __future__ import annotations

from typing import Any, Protocol

from rtcvoice.emulator.session.agenda import Timer
from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.input_memory import InputMemory
from rtcvoice.emulator.session.items import user_audio, weigh
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.shared import Shared
from rtcvoice.emulator.session.voice_activity import (
    SpeechStarted,
    SpeechStopped,
    VadSettings,
    VoiceActivity,
)

__all__ = ["InputTurns", "TurnListener"]

_LEAST_SAMPLES = RATE_HZ // 10  # the service commits no less than 100 ms


class TurnListener(Protocol):
    """Who is told of turns."""

    def user_started(self) -> None:
        """Hear that the user began to speak."""
        ...

    def user_committed(
        self, entry: Entry, sound: Pcm, samples: int, *, detected: bool, silent: bool
    ) -> None:
        """Hear of a new spoken item: `detected` by the server, or committed by the client.

        `sound` is what was kept of its `samples`. `silent`: the user said nothing for the idle
        timeout.
        """
        ...


class InputTurns:
    """The input audio of a session. Sends `input_audio_buffer.*` and the user's spoken items."""

    def __init__(
        self, shared: Shared, turn_detection: dict[str, Any] | None, listener: TurnListener
    ) -> None:
        self._shared = shared
        self._listener = listener
        self._detection = turn_detection
        self._activity = VoiceActivity(_vad(turn_detection))
        self._memory = InputMemory()
        self._buffer_start = 0
        self._item_id = ""
        self._idle_timer: Timer | None = None
        self._idle_since_ms = 0

    @property
    def speaking(self) -> bool:
        """Whether the server thinks that the user is speaking."""
        return self._activity.speaking

    def configure(self, turn_detection: dict[str, Any] | None) -> None:
        """Use other turn detection from here on; a turn in progress is forgotten by it."""
        if turn_detection != self._detection:
            self._detection = turn_detection
            self._activity.configure(_vad(turn_detection))
            self.stay_awake()

    def receive(self, samples: Pcm) -> None:
        """Take input audio."""
        if self._detection is None or self.speaking:
            self._memory.reserve(self._activity.position - self._buffer_start + len(samples))
        self._memory.append(samples)
        for event in self._activity.process(samples):
            if isinstance(event, SpeechStarted):
                self._started(event)
            else:
                self._stopped(event)

    def _started(self, event: SpeechStarted) -> None:
        self.stay_awake()
        self._item_id = self._shared.ids.item()
        self._buffer_start = event.audio_start_ms * RATE_HZ // 1000
        self._shared.outbox.send(
            "input_audio_buffer.speech_started",
            audio_start_ms=event.audio_start_ms,
            item_id=self._item_id,
        )
        self._listener.user_started()

    def _stopped(self, event: SpeechStopped) -> None:
        self._shared.outbox.send(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=event.audio_end_ms,
            item_id=self._item_id,
        )
        samples = (event.audio_end_ms - event.audio_start_ms) * RATE_HZ // 1000
        end = event.audio_end_ms * RATE_HZ // 1000
        self._commit(self._item_id, samples, end=end, detected=True)

    def commit(self) -> None:
        """Make the buffer a user item, as the client asks. Raises RequestError if too short."""
        samples = self._buffered()
        if samples < _LEAST_SAMPLES:
            raise RequestError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of"
                f" audio, but buffer only has {samples * 1000 / RATE_HZ:.2f}ms of audio.",
            )
        item_id = self._item_id if self.speaking else self._shared.ids.item()
        self._activity.reset()
        self._commit(item_id, samples, end=self._activity.position, detected=False)

    def clear(self) -> None:
        """Drop what is in the buffer, and a turn in progress with it."""
        self._activity.reset()
        self._buffer_start = self._activity.position
        self._shared.outbox.send("input_audio_buffer.cleared")

    def _buffered(self) -> int:
        # Between turns the detector keeps nothing that would be worth a commit.
        if self._detection is not None and not self.speaking:
            return 0
        return self._activity.position - self._buffer_start

    def _commit(
        self, item_id: str, samples: int, *, end: int, detected: bool, silent: bool = False
    ) -> None:
        sound = self._memory.slice(end - samples, end)
        self._buffer_start = self._activity.position
        conversation, send = self._shared.conversation, self._shared.outbox.send
        previous = conversation.last_id
        item = user_audio(item_id)
        entry = Entry(item, weigh(item, user_samples=samples))
        conversation.add(entry)
        conversation.keep_sound(entry, sound)
        send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        for kind in ("added", "done"):
            send(
                f"conversation.item.{kind}",
                previous_item_id=previous,
                item=conversation.snapshot(item_id),
            )
        self._listener.user_committed(entry, sound, samples, detected=detected, silent=silent)

    # ---- the prompt after long silence

    def grow_idle(self) -> None:
        """Say that the assistant fell silent: from now on the idle timeout runs, if one is set."""
        self.stay_awake()
        timeout_ms = (self._detection or {}).get("idle_timeout_ms")
        if timeout_ms is not None and not self.speaking:
            self._idle_since_ms = self._activity.position_ms
            self._idle_timer = self._shared.agenda.after(timeout_ms / 1000, self._timed_out)

    def stay_awake(self) -> None:
        """Stop the idle timeout: somebody speaks, or is about to."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _timed_out(self) -> None:
        item_id, end_ms = self._shared.ids.item(), self._activity.position_ms
        self._shared.outbox.send(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=self._idle_since_ms,
            audio_end_ms=end_ms,
            item_id=item_id,
        )
        samples = (end_ms - self._idle_since_ms) * RATE_HZ // 1000
        end = self._activity.position
        self._commit(item_id, samples, end=end, detected=True, silent=True)


def _vad(turn_detection: dict[str, Any] | None) -> VadSettings | None:
    return None if turn_detection is None else VadSettings.of(turn_detection)
