"""Words with their places on the model's clock, and the text that they make; pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Words", "continued", "insert", "is_acknowledgement", "joined"]


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
    text = ""
    for each in words:
        text = continued(text, each.text)
    return text.strip()


def continued(text: str, more: str) -> str:
    """Return a text with more of it.

    A space is added where a sentence would run into the next one: the first words of a stretch of
    speech may come without.
    """
    glued = text[-1:] in _ENDS and more[:1].isupper()
    return f"{text} {more}" if glued else text + more


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
