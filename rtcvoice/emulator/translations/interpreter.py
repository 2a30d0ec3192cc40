"""Says in the other language what the user says, where a script has it; else that it cannot.

It hears all the time, and neither gives way to the user nor waits for him to finish all he has to
say: what was said between two pauses is put into the other language while the next is being said.
"""

from __future__ import annotations

from rtcvoice.emulator.live.duplex import Duplex
from rtcvoice.emulator.live.hearing import Ear, Known
from rtcvoice.emulator.live.hub import Hub, message
from rtcvoice.emulator.live.speaker import Speaker, Utterance
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.persona import Hearing
from rtcvoice.emulator.session.plan import Say

__all__ = ["Interpreter"]


class Interpreter:
    """One session's model."""

    def __init__(self, hub: Hub, duplex: Duplex) -> None:
        self._hub = hub
        self._duplex = duplex
        self.speaker = Speaker(hub, _ignored)
        self.ear = Ear(hub, self, _ignored)
        self.expires = False
        """Whether a script has the session end when this was said."""

    @property
    def busy(self) -> bool:
        """Whether something that was said is still to be written down, or to be heard."""
        return self.ear.speaking or self.ear.owes_words or self.speaker.busy

    def frame(self, clock_ms: int) -> None:
        """Hear the frame that ends at `clock_ms`, and say the one that begins there."""
        self.ear.frame(clock_ms)
        self.speaker.frame(clock_ms)

    # ---- the ear reports

    def anticipate(self, sound: Pcm, seconds: float) -> Known | None:
        """Return the words of speech that has begun so (Listener)."""
        return self._duplex.anticipate(sound)

    def user_speaks(self, seconds: float) -> None:
        """Go on: who is translated is not interrupted (Listener)."""

    def recognise(self, sound: Pcm, seconds: float) -> Hearing | None:
        """Return what the user said (Listener)."""
        return self._duplex.recognise(sound, seconds)

    def user_stopped(self, heard: Hearing) -> None:
        """Say it in the other language (Listener)."""
        scripted = self._duplex.expected is not None
        self._hub.items.append(message("user", heard.text or "..."))
        if self.speaker.busy and not scripted:
            return  # once is enough: it is the same every time
        plan = self._duplex.respond(self._hub, heard.text, spoken=True)
        self.expires = self.expires or plan.expires
        after = self._hub.clock_ms + round(plan.delay * 1000)
        for output in plan.outputs:
            if isinstance(output, Say) and not plan.lost:
                said = Utterance(output.text, output.speech, yields=False, not_before_ms=after)
                self.speaker.say(said)


def _ignored(kind: str, event_id: str, text: str) -> None:
    """Nobody waits for the deltas."""
