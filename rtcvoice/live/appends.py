"""How a text is given to the model: in pieces that the service takes, whole sentences each; pure.

An append holds at most 500 tokens. How many a text has only the service's tokenizer knows; the
estimate here is never below it by more than the margin of 50.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from rtcvoice.errors import ConfigError

__all__ = ["MOST_TOKENS", "estimated_tokens", "in_pieces"]

PIECE_TOKENS = 450
"""Tokens of one append, by the estimate; the service refuses more than 500."""

MOST_TOKENS = 2000
"""Tokens of a text that is to be said: about ten minutes of speech."""

_RUNS = re.compile(r"[A-Za-z]+|[0-9]+|\s+|[^\x00-\x7f]|.", re.DOTALL)
_SENTENCES = re.compile(r"(?<=[.!?…。！？])\s+|(?<=[。！？])|\n+")
_WORDS = re.compile(r"\S+\s*|\s+")


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has: rather too many than too few."""
    return math.ceil(sum(_cost(run[0]) for run in _RUNS.finditer(text)))


def _cost(run: str) -> float:
    if run[0].isascii():
        if run[0].isalpha():
            return math.ceil(len(run) / 5)
        if run[0].isdigit():
            return math.ceil(len(run) / 3)
        return run.count("\n") if run.isspace() else 1
    return len(run.encode("utf-8", "replace")) / 2


def in_pieces(text: str, what: str, *, most: int | None = MOST_TOKENS) -> list[str]:
    """Return a text in pieces for one append each. Raises ConfigError for no text, or too much.

    `what` names the text in the error.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{what} is empty" if isinstance(text, str) else f"{what} is no text")
    if most is not None and estimated_tokens(text) > most:
        raise ConfigError(
            f"{what} has about {estimated_tokens(text)} tokens; the model takes {most} at a time",
            hint="give it in parts",
        )
    return list(_packed(_parts(text.strip())))


def _parts(text: str) -> Iterator[str]:
    """Cut into sentences; one that is too long for itself, between words or anywhere."""
    for sentence in filter(None, map(str.strip, _SENTENCES.split(text))):
        if estimated_tokens(sentence) <= PIECE_TOKENS:
            yield sentence
            continue
        for word in _WORDS.findall(sentence):
            yield from _chopped(word.strip())


def _chopped(word: str) -> Iterator[str]:
    while word and estimated_tokens(word) > PIECE_TOKENS:
        yield word[:PIECE_TOKENS]
        word = word[PIECE_TOKENS:]
    if word:
        yield word


def _packed(parts: Iterator[str]) -> Iterator[str]:
    """Put as many parts together as fit."""
    piece, size = "", 0
    for part in parts:
        cost = estimated_tokens(part)
        if piece and size + cost > PIECE_TOKENS:
            yield piece
            piece, size = "", 0
        piece = f"{piece} {part}" if piece else part
        size += cost
    if piece:
        yield piece
