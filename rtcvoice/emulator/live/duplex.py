"""A persona of the other dialect, asked in the way of this one: while the user still speaks.

What it answers is decided as ever (`session/persona.py`). New is what has to be known earlier: the
words while they are being said, and what a script says of the turn that is being heard.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rtcvoice.emulator.live.hearing import Known
from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.session.assistant import telling
from rtcvoice.emulator.session.clips import Clip, Voice
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.persona import Context, Hearing, Persona
from rtcvoice.emulator.session.plan import Call, Failure, Plan, Say
from rtcvoice.emulator.session.recognition import best_beginning
from rtcvoice.emulator.session.script import UNRECOGNISED, Scripted
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.emulator.session.wording import plain_words

__all__ = ["Duplex"]

_WORK = frozenset(
    plain_words("weather add look find book order search check calculate remind schedule delegate")
)
"""Words of a user that make the assistant hand the work over where the client does it."""

_LEAST_SPEECH = 0.4  # seconds of unknown speech that get a transcript


class Duplex:
    """One session's persona, which hears and answers at the same time."""

    def __init__(self, persona: Persona, voice: Voice, faults: SessionFaults) -> None:
        self._persona = persona
        self._voice = voice
        self._faults = faults

    @property
    def warnings(self) -> tuple[str, ...]:
        """What did not go by the script, oldest first."""
        return tuple(getattr(self._persona, "warnings", ()))

    @property
    def expected(self) -> Turn | None:
        """The turn of the script that the user's next words are, if there is one."""
        return self._persona.expected if isinstance(self._persona, Scripted) else None

    def anticipate(self, sound: Pcm) -> Known | None:
        """Return the words of speech that has begun so, if a script or a clip tells them."""
        turn = self.expected
        if self._faults.transcription_fails:
            return None
        if turn is None:
            match = best_beginning(sound, map(self._voice.clip, self._voice.user_clips()))
            return None if match is None else _known(match.clip, match.clip.text)
        if turn.transcript == "fails":
            return None
        if turn.clip is None:
            return None if turn.hears is None else Known(turn.hears)
        match = best_beginning(sound, [self._voice.clip(str(turn.clip))])
        return None if match is None else _known(match.clip, turn.hears or match.clip.text)

    def recognise(self, sound: Pcm, seconds: float) -> Hearing:
        """Return the words of speech that has ended; unknown ones are told to be unknown."""
        heard = self._persona.hear(sound)
        if self._faults.transcription_fails:
            return replace(heard, transcription_fails=True)
        if heard.text is None and not heard.transcription_fails and seconds >= _LEAST_SPEECH:
            return Hearing(UNRECOGNISED)
        return heard

    def respond(self, hub: Hub, text: str | None, *, spoken: bool, new_turn: bool = True) -> Plan:
        """Return the answer to what was said last."""
        context = _context(hub, text, spoken=spoken, new_turn=new_turn)
        plan = self._faulty(self._persona.respond(context))
        if hub.settings["delegation"]["type"] == "client" and self._wants_work(plan, text):
            return Plan(delegates=True)
        return plan

    def resume(self, hub: Hub, after: Plan) -> Plan:
        """Return the answer to what the functions gave that `after` called.

        The user may have spoken meanwhile; that has an answer of its own.
        """
        context = _context(hub, None, spoken=False, new_turn=False)
        if isinstance(self._persona, Scripted) and isinstance(after.stage, Turn):
            return self._faulty(self._persona.resume(after.stage, context))
        if context.results and context.tool_choice == "auto":
            return self._faulty(Plan((Say(telling(context.results)),)))
        return self._faulty(self._persona.respond(context))

    def _faulty(self, plan: Plan) -> Plan:
        """Return the answer with what the faults of the session do to every answer."""
        faults = self._faults
        failure, stalls = plan.failure, plan.stalls_after
        if failure is None and faults.reply_error is not None:
            failure = Failure(faults.reply_error, faults.reply_error_after)
        return replace(
            plan,
            delay=plan.delay + faults.reply_delay,
            failure=failure,
            stalls_after=faults.reply_stalls_after if stalls is None else stalls,
            lost=plan.lost or faults.reply_lost,
        )

    def _wants_work(self, plan: Plan, text: str | None) -> bool:
        if isinstance(self._persona, Scripted) and self._persona.within:
            return False  # a script says itself what is handed over
        asks = bool(_WORK & set(plain_words(text or "")))
        return asks and not any(isinstance(output, Call) for output in plan.outputs)

    def prompt(self, name: str) -> tuple[str, Clip | None]:
        """Return a prompt's words and sound, or a text as it is."""
        if name in self._voice.names():
            clip = self._voice.clip(name)
            return clip.text, clip
        return name, None


def _context(hub: Hub, text: str | None, *, spoken: bool, new_turn: bool) -> Context:
    unknown = text is None or text == UNRECOGNISED
    return Context(
        items=list(hub.items),
        user_text=None if unknown else text,
        new_turn=new_turn,
        spoken=spoken,
        session=_as_session(hub),
    )


def _known(clip: Clip, text: str) -> Known | None:
    return Known(text, clip.seconds) if text else None


def _as_session(hub: Hub) -> dict[str, Any]:
    """Return the settings that a persona asks for, by their names in the other dialect."""
    instructions = str(hub.settings.get("instructions") or "")
    delegation = hub.settings["delegation"]
    backend: dict[str, Any] = delegation.get("responses", {})
    return {
        "instructions": " ".join(filter(None, (instructions, backend.get("instructions")))),
        "tools": backend.get("tools", []),
        "tool_choice": backend.get("tool_choice", "auto"),
        "parallel_tool_calls": backend.get("parallel_tool_calls") is not False,
    }
