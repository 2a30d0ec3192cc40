"""What the parts of scripts/fuzz share: changed bytes and lines, and a call that is watched."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
import unicodedata

import rtcvoice

__all__ = ["KEY", "call_watched", "changed_bytes", "changed_line"]

KEY = "sk-fuzz-0123456789abcdef"
PATIENCE = 0.6
"""Seconds in which a call comes about, or does not."""

GRACE = 5.0
"""Seconds beyond those that a busy machine may take."""

LONGEST_STANDSTILL = 2.0
"""Seconds that the event loop may be late; the machine may have other work."""

ORDERING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")

NUMBERS = ["0", "-1", "1", "65535", "65536", "4294967295", "1e9", "99999999999999999999", "NaN"]
TEXTS = ["", " ", "\x00", "\x1b[31m", "\u202e", "é", "a" * 5000, "%s", "\ud7ff", "{}", "∞"]


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with some bytes set, cut, doubled or put in; often near the beginning."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not made:
            break
        at = rng.randrange(min(len(made), rng.choice([16, 64, 512, len(made)])))
        match rng.randrange(6):
            case 0:
                made[at] = rng.randrange(256)
            case 1:
                made[at : at + 4] = rng.choice(
                    [b"\xff" * 4, bytes(4), b"\x80\0\0\0", b"\0\0\0\x7f"]
                )
            case 2:
                del made[at : at + rng.choice([1, 4, 100, 5000])]
            case 3:
                made[at:at] = made[at : at + rng.choice([1, 4, 100, 5000])]
            case 4:
                made[at:at] = rng.randbytes(rng.choice([1, 4, 100]))
            case 5:
                del made[at:]
    return bytes(made)


def changed_line(line: str, rng: random.Random) -> str:
    """Return a line of text with a number, a word or a character changed."""
    match rng.randrange(5):
        case 0 if numbers := list(re.finditer(r"\d+", line)):
            found = rng.choice(numbers)
            return line[: found.start()] + rng.choice(NUMBERS) + line[found.end() :]
        case 1 | 0:
            words = line.split(" ")
            words[rng.randrange(len(words))] = rng.choice(TEXTS + NUMBERS)
            return " ".join(words)
        case 2:
            at = rng.randrange(len(line) + 1)
            return line[:at] + rng.choice(TEXTS) + line[at:]
        case 3:
            return line[: rng.randrange(len(line) + 1)]
    return " ".join(rng.sample(line.split(" "), len(line.split(" "))))


async def call_watched(base_url: str, **given: object) -> str:
    """Have a call, and return how it ended. Raises AssertionError when that was not as promised."""
    problems: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(str(context)))
    late = asyncio.create_task(_watch(problems))
    begun = time.monotonic()
    options = {"api_key": KEY, "source": None, "sink": None, "connect_timeout": PATIENCE}
    try:
        async with rtcvoice.connect(base_url=base_url, **(options | given)):
            ended = "connected"
    except rtcvoice.RtcVoiceError as exc:
        _check_told(str(exc), problems)
        ended = f"{type(exc).__name__} {getattr(exc, 'stage', None) or getattr(exc, 'status', '')}"
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    took = time.monotonic() - begun
    if took > PATIENCE + GRACE:
        problems.append(f"it took {took:.1f} s")
    assert not problems, "\n".join(problems)
    return ended.strip()


async def _watch(problems: list[str]) -> None:
    while True:
        due = time.monotonic() + 0.02
        await asyncio.sleep(0.02)
        if time.monotonic() - due > LONGEST_STANDSTILL:
            problems.append(f"the event loop stood still for {time.monotonic() - due:.1f} s")


def _steers(character: str) -> bool:
    """Whether it moves a terminal's cursor, or the order of a line (Unicode annex 9)."""
    order = unicodedata.bidirectional(character)
    return unicodedata.category(character) in ("Cc", "Cs") or order in ORDERING


def _check_told(text: str, problems: list[str]) -> None:
    if KEY in text:
        problems.append(f"the key is told: {text!r}")
    odd = [each for each in text.replace("\n", " ") if _steers(each)]
    if odd:
        problems.append(f"control characters {odd} are told: {text!r:.500}")
    if len(text) > 3000:
        problems.append(f"{len(text)} characters are told: {text:.200}")


logging.disable(logging.CRITICAL)
