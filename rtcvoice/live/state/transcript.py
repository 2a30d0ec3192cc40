"""Words with their places on the model's clock, and the text that they make; pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Words", "continued", "insert", "is_acknowledgement", "joined", "together"]


class Words(NamedTuple):
    """What one delta brought, and its interval in ms of the model's clock."""

    start_ms: int
    end_ms: int
    text: str


def insert(words: list[Words], new: Words) -> bool:
    """Put words where they belong by their time; of the same time the later ones go behind.

    Return whether they are the last ones.
    """
    if not words or words[-1].start_ms <= new.start_ms:
        words.append(new)
        return True
    words.insert(bisect_right(words, new.start_ms, key=lambda each: each.start_ms), new)
    return False


def joined(words: Iterable[Words]) -> str:
    """Return the text of words in their order."""
    return together(words).strip()


def together(words: Iterable[Words]) -> str:
    """Return the text of words in their order, with the blanks around it."""
    parts: list[str] = []
    end = ""
    for each in words:
        if _runs_into(end, each.text):
            parts.append(" ")
        parts.append(each.text)
        end = each.text or end
    return "".join(parts)


def continued(text: str, more: str) -> str:
    """Return a text with more of it.

    A space is added where a sentence would run into the next one: the first words of a stretch of
    speech may come without.
    """
    return f"{text} {more}" if _runs_into(text, more) else text + more


def _runs_into(text: str, more: str) -> bool:
    return text[-1:] in _ENDS and more[:1].isupper()


_ENDS = frozenset(".!?\u2026")

# What people say to show that they listen, without wanting to speak.
_ACKNOWLEDGEMENTS = frozenset(
    word
    for language in (
        "ah aha ahh alright exactly good great hm hmm huh i know mhm mm mmm ok okay oh really",
        "right see sure true uh uhm uh-huh uhuh um understood wow ya yeah yep yes mm-hmm mm-hm",
        "aber ach achso also genau gut ja jaja jawohl klar na richtig schon so stimmt tja verstehe",
        "ajá bien claro eso sí vale bon d'accord oui ouais voilà bene certo va capito isso sim tá",
        "はい うん ええ そう 네 응 嗯 对 好 да ага угу так",
    )
    for word in language.split()
)
_WORD = re.compile(r"[\w'-]+")


def is_acknowledgement(text: str) -> bool:
    """Whether a text is made of nothing but words that show that somebody listens."""
    words = _WORD.findall(text.lower())
    return bool(words) and len(words) <= 4 and all(word in _ACKNOWLEDGEMENTS for word in words)
