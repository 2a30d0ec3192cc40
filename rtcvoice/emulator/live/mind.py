"""The model between its ear and its mouth: when it speaks, stops, goes on, and hands work over."""

from __future__ import annotations

from dataclasses import replace

from rtcvoice.emulator.live.backend import Backend
from rtcvoice.emulator.live.client_events import item_text
from rtcvoice.emulator.live.decisions import Decisions
from rtcvoice.emulator.live.delegations import Delegations
from rtcvoice.emulator.live.duplex import Duplex
from rtcvoice.emulator.live.hearing import Ear, Known
from rtcvoice.emulator.live.hub import Hub, message
from rtcvoice.emulator.live.speaker import Speaker, Utterance
from rtcvoice.emulator.live.usage import Usage
from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.session.outputs import Event, Pcm
from rtcvoice.emulator.session.persona import Hearing
from rtcvoice.emulator.session.plan import Call, Plan, Say
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.wording import plain_words

__all__ = ["Mind"]

COMMENTARY_DELAY_MS = 200
"""From a commentary to its first words."""

_BACKCHANNEL_AFTER = 0.8  # seconds of the user's speech
_STOPS = frozenset(("stop", "quiet", "silent", "silence"))
_GREETS = frozenset(("greet", "greeting", "greetings"))
_ORDERS = frozenset(("answer", "greet", "reply", "respond"))
_PEOPLE = frozenset(("caller", "callers", "user", "users"))


class Mind:
    """One session's model. `pause` is called when a script wants the session paused."""

    def __init__(self, hub: Hub, duplex: Duplex, usage: Usage) -> None:
        self._hub = hub
        self._duplex = duplex
        self._usage = usage
        self.decisions = Decisions(hub)
        self.speaker = Speaker(hub, self._delta)
        self.ear = Ear(hub, self, self._delta)
        self.backend = Backend(
            hub, answer=self._backend_answer, tell=self._tell, idle=self._backend_idle
        )
        self.delegations = Delegations(hub, self.backend, self.decisions, self._acknowledge)
        self.warnings: list[str] = []
        self.wants_pause = False
        """Whether a script has asked for a pause; whoever pauses resets it."""
        self.expires = False
        """Whether a script has the session end when the answer was said."""
        self._hummed = False
        self._aside = False
        self._owed: Hearing | None = None

    @property
    def quiet(self) -> bool:
        """Whether neither side speaks, and nothing is open."""
        return not (self.ear.speaking or self.speaker.busy) and self.delegations.idle

    def started(self) -> None:
        """Greet, where the instructions say so."""
        if not _GREETS & set(plain_words(str(self._hub.settings.get("instructions") or ""))):
            return
        turn = self._duplex.expected
        if turn is not None and (turn.hears, turn.clip) != (None, None):
            self._say("greeting")  # the script begins with the user
        else:
            self._do(self._duplex.respond(self._hub, None, spoken=False, new_turn=False))

    def frame(self, clock_ms: int) -> None:
        """Hear the frame that ends at `clock_ms`, and say the one that begins there."""
        self.ear.frame(clock_ms)
        if self.ear.speaking or self.speaker.speaking:
            self._usage.speech()
        if self._hub.options.interleave or self.speaker.speaking or not self.ear.owes_words:
            self.speaker.frame(clock_ms)
        if self._owed is not None and not self.speaker.busy:
            owed, self._owed = self._owed, None
            self._answer(owed.text)

    def append(self, event: Event) -> None:
        """Take an append that was accepted."""
        kind, text = event["type"], event["content"]
        delegation = event["delegation_id"]
        words = set(plain_words(text))
        if kind == "session.instructions.append":
            self._hub.items.append(message("developer", text))
            if words & _STOPS and self._hub.options.stop_obeyed:
                self.speaker.stop()
            return
        spoken = kind == "session.commentary.append"
        self.delegations.appended(delegation, spoken=spoken)
        if not spoken:
            self._hub.items.append(message("developer", text))
            return
        self.speaker.drop_acknowledgements()
        is_order = plain_words(text)[:1] and plain_words(text)[0] in _ORDERS
        if not (is_order and words & _PEOPLE):
            self._say(text)
        elif words & _GREETS:
            self._say("greeting")
        else:  # it is told to speak, not what to say; what was typed is in the last paragraph
            *_, asked = text.split("\n\n")
            self._do(self._duplex.respond(self._hub, asked, spoken=False))

    # ---- the ear reports

    def anticipate(self, sound: Pcm, seconds: float) -> Known | None:
        """Return the words of speech that has begun so (Listener)."""
        if self._is_noise(seconds):
            return None
        return self._duplex.anticipate(sound)

    def user_speaks(self, seconds: float) -> None:
        """Give way to the user, or say something beside what the user says (Listener)."""
        turn = self._duplex.expected
        aside = None if turn is None else turn.backchannel
        if self.speaker.speaking and self.speaker.yields and not aside:
            both = min(seconds, self.speaker.seconds)
            if both >= self._hub.options.yield_after:
                self.speaker.stop()
        if isinstance(aside, str) and not self._hummed and seconds >= _BACKCHANNEL_AFTER:
            self._hummed = True
            text, clip = self._duplex.prompt(aside)
            self.speaker.say(Utterance(text, clip, yields=False))

    def recognise(self, sound: Pcm, seconds: float) -> Hearing | None:
        """Return what the user said; a short sound beside the model's words is nothing (Listener).

        A script may say that it is an acknowledgement.
        """
        if self._is_noise(seconds):
            return None
        self._hummed = False
        self._aside = self._is_aside
        return self._duplex.recognise(sound, seconds)

    @property
    def _is_aside(self) -> bool:
        turn = self._duplex.expected
        return turn is not None and turn.backchannel is True

    def _is_noise(self, seconds: float) -> bool:
        """Whether so short a sound beside the model's words counts for nothing."""
        short = self.speaker.speaking and seconds < self._hub.options.yield_after
        return short and not self._is_aside

    def user_stopped(self, heard: Hearing) -> None:
        """Answer, or when the model has finished what it says (Listener)."""
        if heard.text is not None:
            self._hub.items.append(message("user", heard.text))
        if self._aside:
            return
        if self.speaker.speaking:
            self._owed = heard
        else:
            self._answer(heard.text)

    # ---- what it does

    def _answer(self, text: str | None) -> None:
        self._do(self._duplex.respond(self._hub, text, spoken=True))

    def _do(self, plan: Plan) -> None:
        if plan.lost:
            return
        if plan.refused is not None:
            message_ = "The emulator was asked to refuse this."
            self._hub.error(RequestError(plan.refused, message_))
            return
        says = [output for output in plan.outputs if isinstance(output, Say)]
        calls = [output for output in plan.outputs if isinstance(output, Call)]
        owner = self._hub.settings["delegation"]["type"]
        if plan.decides:
            self.decisions.scripted = plan.decides
        if calls and owner != "responses":
            self._warn(f"{calls[0].name} cannot be called: there is no responses delegation")
        if plan.failure is not None and owner != "responses":
            self._hub.error(RequestError(plan.failure.code, plan.failure.words))
        for say in says:
            self._speak(say, plan)
        self.expires = self.expires or plan.expires
        if (calls and owner == "responses") or plan.delegates:
            work = replace(plan, outputs=tuple(calls)) if calls else plan.then or Plan()
            self.delegations.begin(work, acknowledged=bool(says))

    def _speak(self, say: Say, plan: Plan) -> None:
        def ended(whole: bool) -> None:
            if whole and plan.heard_out is not None:
                plan.heard_out()
            self.wants_pause = self.wants_pause or plan.pauses

        after = self._hub.clock_ms + round(plan.delay * 1000)
        text, speech = say.text, say.speech
        if plan.stalls_after is not None:  # it breaks off, and nobody says why
            text, speech = " ".join(text.split()[: plan.stalls_after]), None
        self.speaker.say(
            Utterance(text, speech, yields=plan.yields, not_before_ms=after, on_end=ended)
        )

    def _say(self, text: str) -> None:
        words, clip = self._duplex.prompt(text)
        after = self._hub.clock_ms + COMMENTARY_DELAY_MS
        self.speaker.say(Utterance(words, clip, not_before_ms=after))

    def _acknowledge(self) -> None:
        words, clip = self._duplex.prompt(self._hub.options.acknowledgement)
        self.speaker.say(Utterance(words, clip, acknowledges=True))

    # ---- the backend

    def _backend_answer(self, after: Plan | None) -> Plan:
        if after is not None:
            return self._duplex.resume(self._hub, after)
        written = (item_text(item) for item in reversed(self._hub.items) if _is_users(item))
        plan = self._duplex.respond(self._hub, next(written, None), spoken=False)
        return plan.then if plan.then is not None else plan

    def _tell(self, text: str) -> None:
        self.speaker.drop_acknowledgements()
        self._say(text)

    def _backend_idle(self) -> None:
        self.delegations.backend_idle()

    def _delta(self, kind: str, event_id: str, text: str) -> None:
        self.decisions.delta(kind, event_id)

    def _warn(self, text: str) -> None:
        self.warnings = [*self.warnings[-999:], text]


def _is_users(item: Item) -> bool:
    return item.get("role") == "user"
