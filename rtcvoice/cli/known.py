"""`voices` and `models`: the names that are known here, with dates and prices; nobody is asked.

https://platform.openai.com/docs/guides/realtime-conversations
"""

from __future__ import annotations

import argparse
import sys
from datetime import date

from rtcvoice.cli.output import write_line

__all__ = ["VOICES", "add_models", "add_voices", "run_models", "run_voices"]

KNOWN_DATE = "2026-11-20"
"""When the list of voices was last looked over."""

VOICES = (
    *("marin", "cedar"),
    *("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse"),
)
"""The two that the provider recommends, then the others by name."""


def add_voices(parser: argparse.ArgumentParser) -> None:
    """Set the description of `voices`."""
    parser.description = """\
List the voices that are known here; --voice takes any other name, too. A call
keeps the voice with which it began to speak.

examples:
  %(prog)s
"""


def add_models(parser: argparse.ArgumentParser) -> None:
    """Set the description of `models`."""
    parser.description = """\
List the models that are known here, with their prices and their last days;
--model takes any other name, too.

examples:
  %(prog)s
"""


async def run_voices(options: argparse.Namespace) -> int:
    """Print a voice a line."""
    for voice in VOICES:
        write_line(sys.stdout, f"{voice:10}{'recommended' if voice in VOICES[:2] else ''}".rstrip())
    write_line(sys.stdout, f"as of {KNOWN_DATE}; more names may exist")
    return 0


async def run_models(options: argparse.Namespace) -> int:
    """Print a model a line: US dollars for a million tokens of audio, and when it ends."""
    from rtcvoice.config.call_config import DEFAULT_MODEL, DEFAULT_TRANSCRIPTION
    from rtcvoice.config.end_dates import ENDS_DATE, ending_told
    from rtcvoice.conversation.accounts.prices import PRICES, PRICES_DATE, TRANSCRIPTION_PRICES

    today = date.today()
    write_line(
        sys.stdout, "to talk with (US$ for a million tokens of audio, in and out; or a minute)"
    )
    for name, price in PRICES.items():
        if price.active_minute is not None:
            told = f"{price.active_minute:g} min"
        else:
            told = f"{price.audio_input:g}, {price.audio_output:g}"
        _print(name, told, name == DEFAULT_MODEL, ending_told(name, today))
    write_line(sys.stdout, "to transcribe what the user says (US$ a minute, about)")
    for name, minute in TRANSCRIPTION_PRICES.items():
        _print(name, f"{minute:g}", name == DEFAULT_TRANSCRIPTION, ending_told(name, today))
    dates = f"prices as of {PRICES_DATE}, last days as of {ENDS_DATE}; more names may exist"
    write_line(sys.stdout, f"* used when none is named; {dates}")
    return 0


def _print(name: str, price: str, default: bool, ends: str) -> None:
    ends = ends.removeprefix(f"{name} ")
    write_line(sys.stdout, f"  {'*' if default else ' '} {name:26}{price:10}{ends}".rstrip())
