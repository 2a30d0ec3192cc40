"""A script: what the user will say turn by turn, what answers it, and what goes wrong on the way.

`Scripted` is the persona that plays the turns (`turn.py`) in order. What the user says is known
from the script alone; where a turn names the clip it will come from, the sound is compared with it,
and a turn that sounds otherwise is unrecognised. After the last turn the `Assistant` takes over.
"""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rtcvoice.emulator.session.assistant import Assistant, telling
from rtcvoice.emulator.session.clips import Clip, Voice, join
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.persona import Context, Hearing, Result
from rtcvoice.emulator.session.plan import HostedCall, Output, Plan, Say
from rtcvoice.emulator.session.recognition import LIKELY, likeness, speech_seconds
from rtcvoice.emulator.session.transcript_order import TranscriptOrder
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.emulator.session.wording import plain_words, told
from rtcvoice.errors import ConfigError

__all__ = ["UNRECOGNISED", "Scripted", "check_turn", "listed"]

logger = logging.getLogger(__name__)

UNRECOGNISED = "[unrecognised]"
"""The transcript of a turn that does not sound like the clip it was to be."""

_PROMPT_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FILE = re.compile(r".+\.[A-Za-z0-9]{2,4}")
_FIELD = re.compile(r"\{(\w+)((?:\.\w+)*)\}")
_HELD = 60.0  # seconds for which an answer that is to be interrupted goes on


class Scripted:
    """Plays a script. A spoken turn, or an answer to something not spoken, moves it forward.

    `warnings` has what did not go by the script, newest last, at most 1000. Raises ConfigError when
    a turn names a prompt or a file that `voice` cannot play.
    """

    def __init__(self, turns: Sequence[Turn], voice: Voice) -> None:
        self.warnings: list[str] = []
        self._turns = listed(turns)
        self._voice = voice
        self._assistant = Assistant(voice)
        self._position = -1
        self._unanswered = False
        self._stage: Turn | None = None  # the answer that was given last, or was to be
        for number, turn in enumerate(self._turns, 1):
            check_turn(turn, voice, f"Turn {number}")

    @property
    def expected(self) -> Turn | None:
        """The turn that the user's next words are; None where the script is over."""
        following = self._position + 1
        return self._turns[following] if following < len(self._turns) else None

    @property
    def within(self) -> bool:
        """Whether the turn that goes on is one of the script."""
        return 0 <= self._position < len(self._turns)

    @property
    def hosted_tools(self) -> dict[str, list[str]]:
        """The tools of hosted MCP servers that the script calls, by the server's label."""
        found: dict[str, list[str]] = {}
        for turn in self._turns:
            each: Turn | None = turn
            while each is not None:
                for call in each.hosted_calls():
                    names = found.setdefault(call.server, [])
                    names += [call.tool] if call.tool not in names else []
                each = each.then
        return found

    def _turn(self) -> Turn:
        return self._turns[self._position] if self._position < len(self._turns) else Turn()

    def _warn(self, message: str) -> None:
        text = f"turn {self._position + 1}: {message}"
        logger.warning("x script, %s", text)
        self.warnings = [*self.warnings[-999:], text]

    # ---- hearing

    def hear(self, samples: Pcm) -> Hearing:
        """Return what the script says the user said, and move to that turn."""
        self._position += 1
        self._unanswered = True
        if self._position >= len(self._turns):
            return self._assistant.hear(samples)
        turn = self._turn()
        fails = turn.transcript == "fails"
        order = None if fails or turn.transcript is None else TranscriptOrder(turn.transcript)
        return Hearing(self._words(turn, samples), transcription_fails=fails, order=order)

    def _words(self, turn: Turn, samples: Pcm) -> str | None:
        if turn.clip is None:
            return turn.hears
        clip = self._voice.clip(str(turn.clip))
        score = likeness(samples, clip)
        if score >= LIKELY:
            return turn.hears if turn.hears is not None else clip.text or None
        heard, wanted = speech_seconds(samples), speech_seconds(clip.samples)
        split = " (does a pause in it end the turn?)" if heard < 0.75 * wanted else ""
        self._warn(
            f"what was heard is not the clip {turn.clip!r}: {heard:.1f} s of speech, the clip has"
            f" {wanted:.1f} s{split}; likeness {score:.2f} of {LIKELY:.2f} needed"
        )
        return UNRECOGNISED

    def _check_text(self, turn: Turn, context: Context) -> None:
        wanted, got = turn.hears, context.user_text
        if wanted is None or got is None or context.spoken or not context.new_turn:
            return
        if plain_words(wanted) != plain_words(got):
            self._warn(f"expected the text {wanted!r}, got {got!r}")

    # ---- answering

    def respond(self, context: Context) -> Plan:
        """Answer as the script says; what is out of band or beyond the script, the assistant."""
        if context.out_of_band or context.user_silent:
            return self._assistant.respond(context)
        if context.results and not self._unanswered and self._stage is not None:
            self._stage = self._stage.then or Turn(says=telling(context.results))
            return self._plan(self._stage, context)
        if not self._unanswered:
            self._position += 1
            self._check_text(self._turn(), context)
        self._unanswered = False
        beyond = self._position >= len(self._turns)
        self._stage = None if beyond else self._turn()
        return self._assistant.respond(context) if beyond else self._plan(self._turn(), context)

    def resume(self, stage: Turn, context: Context) -> Plan:
        """Answer to what the functions of `stage` gave, whatever was said in between."""
        return self._plan(stage.then or Turn(says=telling(context.results)), context)

    def _plan(self, turn: Turn, context: Context) -> Plan:
        outputs: tuple[Output, ...] = (
            *self._spoken(turn, context.results),
            *turn.functions(),
            *self._hosted(turn),
        )
        silent = (turn.lost, turn.refused, turn.failure, turn.stalls_after) != (
            False,
            None,
            None,
            None,
        )
        silent = silent or bool(turn.backchannel) or turn.delegates or turn.decides is not None
        if not outputs and not silent:
            outputs = self._assistant.respond(context).outputs
        return Plan(
            outputs,
            delay=turn.wait,
            failure=turn.failure,
            stalls_after=turn.stalls_after,
            lost=turn.lost,
            refused=turn.refused,
            expires=turn.expires,
            heard_out=self._heard_out() if turn.interrupted else None,
            yields=turn.yields,
            delegates=turn.delegates,
            then=self._worked(turn, context),
            decides=turn.decisions(),
            pauses=turn.pauses,
            stage=turn,
        )

    def _hosted(self, turn: Turn) -> list[HostedCall | Say]:
        """Return the calls at hosted MCP servers, and what is said of them in the same response."""
        calls = turn.hosted_calls()
        if not calls:
            return []
        results = [Result(call.tool, call.fails or call.gives) for call in calls]
        then = turn.then or Turn(says=telling(results))
        return [*calls, *self._spoken(then, results), *self._hosted(then)]

    def _worked(self, turn: Turn, context: Context) -> Plan | None:
        if turn.then is None or not turn.delegates or turn.functions():
            return None
        return self._plan(turn.then, context)

    def _heard_out(self) -> Any:
        position = self._position

        def warn() -> None:
            if position == self._position:
                self._warn("the answer was to be interrupted, but was heard to its end")

        return warn

    def _spoken(self, turn: Turn, results: list[Result]) -> list[Say]:
        """Return one message of all that is said; no message if that is nothing."""
        parts = turn.prompts()
        if not parts:
            return []
        if all(map(_is_sound, parts)):
            clip = join([self._voice.clip(part) for part in parts])
            return [_held(clip) if turn.interrupted else Say(clip.text, clip)]
        texts = [self._voice.clip(p).text if _is_sound(p) else _filled(p, results) for p in parts]
        text = " ".join(texts)
        return [Say(" ".join([text] * 20) if turn.interrupted else text)]


def _held(clip: Clip) -> Say:
    times = max(1, -(-int(_HELD * RATE_HZ) // max(1, len(clip.samples))))
    whole = join([clip] * times)
    return Say(whole.text, whole)


def _is_sound(part: str) -> bool:
    """Whether `part` names a prompt or an audio file; anything else is a text to say."""
    named = _FILE.fullmatch(part) and (" " not in part or _is_file(part))
    return bool(_PROMPT_NAME.fullmatch(part) or named)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # longer than any name, or no name at all
        return False


def listed(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns of a script that was given in Python. Raises ConfigError."""
    example = "script=[Turn(hears='What time is it?', says='reply-1')]"
    if isinstance(turns, Turn) or not isinstance(turns, Iterable):
        raise ConfigError("a script is a list of turns", hint=example)
    turns = list(turns)
    for number, turn in enumerate(turns, 1):
        if not isinstance(turn, Turn):
            raise ConfigError(f"Turn {number} is {turn!r:.80}, not a Turn", hint=example)
    return turns


def _filled(text: str, results: list[Result]) -> str:
    """Return `text` with `{result}`, `{name}` and their fields replaced by what functions gave."""

    def value(found: re.Match[str]) -> str:
        name, path = found[1], found[2].split(".")[1:]
        outputs = [r.output for r in results if name in ("result", r.name)]
        if not outputs:
            return found[0]
        return _field(outputs[0], path)

    return _FIELD.sub(value, text)


def _field(output: str, path: list[str]) -> str:
    if not path:
        return told(output) or output
    try:
        content: Any = json.loads(output)
        for key in path:
            content = content[int(key) if isinstance(content, list) else key]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return "nothing"
    return told(json.dumps(content))


def check_turn(turn: Turn, voice: Voice, place: str) -> None:
    """Raise ConfigError, which names `place`, for a turn that cannot be played."""
    known = voice.names()
    said = turn.prompts()
    if isinstance(turn.backchannel, str):
        said.append(turn.backchannel)
    named = [part for part in said if _is_sound(part)]
    for name in [*named, *([str(turn.clip)] if turn.clip is not None else [])]:
        if name in known:
            continue
        if _PROMPT_NAME.fullmatch(name) or not _is_file(name):
            near = difflib.get_close_matches(name, known, 1)
            some = ", ".join(known[:20]) + (" and more" if len(known) > 20 else "")
            guess = f"did you mean {near[0]!r}?" if near else f"there are {some}"
            raise ConfigError(
                f"{place}: there is no prompt or file {name!r}",
                hint=f"{guess}; a text to say has a space or a capital letter",
            )
        voice.clip(name)
    if turn.then is not None:
        if turn.then.hears is not None or turn.then.clip is not None:
            raise ConfigError(
                f"{place}: a turn in then= cannot have hears= or clip=",
                hint="the user's next words are a turn of their own",
            )
        check_turn(turn.then, voice, place)
