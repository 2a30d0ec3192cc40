"""The idle pause: after silence the model rests, and the user's voice wakes it.

A session has it whose settings have `idle_timeout_s` and `wake_policy`. While it lasts nothing is
heard, said or counted but the pause itself.
"""

from __future__ import annotations

from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.live.usage import Usage
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.voice_activity import SpeechStarted, VadSettings, VoiceActivity

__all__ = ["Idle"]


class Idle:
    """Pauses and resumes one session."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        policy = hub.settings.get("wake_policy")
        self._after: float | None = hub.settings.get("idle_timeout_s") if policy else None
        threshold = policy["vad_threshold"] if policy else 0.5
        self._detector = VoiceActivity(VadSettings(threshold, 0, 500))
        self._may = policy is not None
        self._deaf_for = 0
        self.paused = False
        """Whether the session is paused."""

    def quiet(self, seconds: float, *, at_once: bool) -> None:
        """Hear for how long both sides have been silent; `at_once`: a script wants the pause."""
        due = self._after is not None and seconds >= self._after
        if self._may and not self.paused and (due or at_once):
            self.paused = True
            self._detector.reset()
            self._hub.outbox.send("session.paused")

    def commentary(self) -> None:
        """Wake, where a commentary does that."""
        if self.paused and self._hub.options.appends_wake:
            self._resume()

    def hear(self, samples: Pcm, usage: Usage) -> bool:
        """Take input audio; True: the session is paused, and the model does not hear it."""
        if self._deaf_for > 0:
            self._deaf_for -= len(samples)
            usage.active(len(samples))
            return True
        if not self.paused:
            return False
        usage.paused(len(samples))
        if self._hub.options.pause_clock == "runs":
            self._hub.heard += len(samples)
        found = list(self._detector.process(samples))
        if any(isinstance(each, SpeechStarted) for each in found):
            self._resume()
        return True

    def _resume(self) -> None:
        self.paused = False
        self._deaf_for = round(self._hub.options.wake_loses * RATE_HZ)
        self._hub.outbox.send("session.resumed")
