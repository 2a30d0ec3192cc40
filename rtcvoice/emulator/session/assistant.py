"""The persona without a script: brief, talkative when asked, and glad to call a tool.

Text is compared word by word with the names of the tools; a word that only one of them has decides.
Speech it knows only where it is a clip it has, and says so. Results it puts into words. Nothing is
understood, so nothing is translated.
"""

from __future__ import annotations

import json
from typing import Any

from rtcvoice.emulator.session.arguments import arguments_for
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.persona import Context, Hearing, Result
from rtcvoice.emulator.session.plan import Call, Plan, Say
from rtcvoice.emulator.session.recognition import best_match
from rtcvoice.emulator.session.wording import failed, name_words, plain_words, told

__all__ = ["Assistant", "telling"]

_LONG = frozenset(
    ("long", "longer", "story", "stories", "talk", "lecture", "count", "detail", "everything")
)
_BYES = frozenset(("bye", "goodbye"))
_FILLERS = frozenset(
    plain_words(
        "a an and are at be by can could do for from get give has have how i in is it let me my of"
        " on or please set so tell that the this to up was what when where who will with you"
    )
)
_TRANSLATING = frozenset(("translate", "translation", "translations", "translator", "interpreter"))
_MOST_CALLS = 4


class Assistant:
    """Answers with short prompts in rotation, with a long talk when asked for one, or with a tool.

    It knows the shipped prompts by name (`greeting`, `reply-1`..., `talk`, `still-there`...); of
    another voice it says whatever there is. Raises ValueError for a voice without clips.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        names = voice.names()
        if not names:
            raise ValueError("a voice needs at least one clip")
        self._known = set(names)
        self._replies = [n for n in names if n.startswith("reply")] or names
        self._next = 0
        self._told_limits = False

    def hear(self, samples: Pcm) -> Hearing:
        """Return the words of the user's clip that this is, if it is one."""
        clips = map(self._voice.clip, self._voice.user_clips())
        match = best_match(samples, clips)
        return Hearing(None if match is None else match.clip.text)

    def respond(self, context: Context) -> Plan:
        """Call the tool that was asked for, tell what tools gave, or say something."""
        calls = self._calls(context)
        if calls:
            return Plan(tuple(calls))
        if context.results:
            return Plan((Say(telling(context.results)),))
        return Plan((self.prompt(self._choose(context)),))

    def prompt(self, name: str) -> Say:
        """Return the prompt `name` as something to say, by the voice if it can say anything."""
        text = self._voice.clip(name).text
        return Say(text, self._voice.say(text))

    # ---- tools

    def _calls(self, context: Context) -> list[Call]:
        """Return the calls to make: those the text names, or one that has to be made."""
        choice, tools = context.tool_choice, context.tools
        text = context.user_text or ""
        if isinstance(choice, dict):
            return [_call(tool, text) for tool in tools if tool["name"] == choice.get("name")][:1]
        if choice == "none" or not tools or context.user_silent:
            return []
        if choice == "auto" and self._voice.answer_to(text) is not None:
            return []  # it has the very answer, whatever else the words sound like
        # What was said once is done once; only `required` insists on a call each time.
        named = [] if context.called and choice == "auto" else _named(tools, text)
        if not named and choice == "required":
            named = tools[:1]
        most = _MOST_CALLS if context.parallel_tool_calls else 1
        return [_call(tool, text) for tool in named[:most]]

    # ---- talk

    def _choose(self, context: Context) -> str:
        name = self._fitting(context)
        if name in self._known:
            return name
        name = self._replies[self._next % len(self._replies)]
        self._next += 1
        return name

    def _fitting(self, context: Context) -> str:
        """Return the name of the prompt that fits, if the voice has it; "" where none does."""
        if context.user_silent:
            return "still-there"
        if not context.items:
            return "greeting"
        if context.new_turn and _TRANSLATING & set(plain_words(context.instructions)):
            return "no-translation"
        text = context.user_text
        if text is None:
            if not (context.spoken and context.new_turn):
                return ""
            told, self._told_limits = self._told_limits, True
            return "no-clip" if told else "only-clips"
        if (answer := self._voice.answer_to(text)) is not None:
            return answer
        words = set(plain_words(text))
        return "talk" if words & _LONG else "goodbye" if words & _BYES else ""


def telling(results: list[Result]) -> str:
    """Return the words in which the results of functions are told."""
    return " ".join(map(_told, results))


def _told(result: Result) -> str:
    if failed(result.output):
        return "I am sorry, that did not work."
    words = told(result.output)
    return f"The result is {words.rstrip('.')}." if words else "It is done."


def _call(tool: dict[str, Any], text: str) -> Call:
    return Call(tool["name"], json.dumps(arguments_for(tool.get("parameters"), text)))


def _named(tools: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Return the tools that the text names: by a word of their own, or the first by any word."""
    said = {_stem(word) for word in plain_words(text)}
    names = [{_stem(word) for word in name_words(tool["name"])} for tool in tools]
    own = [words - set().union(*names[:n], *names[n + 1 :]) for n, words in enumerate(names)]
    telling_words = said - _FILLERS
    for parts, heard in ((own, telling_words), (names, telling_words), (names, said)):
        found = [tool for tool, words in zip(tools, parts, strict=True) if words & heard]
        if found:
            return found if parts is own else found[:1]
    return []


def _stem(word: str) -> str:
    """Return the word without a plural's s: reminders are set by a reminder."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
