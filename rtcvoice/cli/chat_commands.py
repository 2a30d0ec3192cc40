"""What a line means that was written at the prompt of a chat: a message, or a command; pure.

A message is sent and paid for, so what looks like a wish to leave or to be helped is not sent.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

__all__ = ["HELP", "HINT", "Meant", "meaning"]

HINT = "Enter sends, Ctrl-C stops the answer, Ctrl-D ends, /help: more"
"""The keys, in a line."""

HELP = (
    "Enter sends; pasted lines are one message; Up and Down bring earlier messages back; Ctrl-C"
    " stops the answer or clears the line, twice ends the chat; Ctrl-D on an empty line ends it;"
    " Ctrl-Z twice suspends",
    "/help or ? shows this; exit, quit, /exit or /quit ends; /say TEXT sends TEXT whatever it is",
)
"""What can be pressed and written, in two lines."""

_ENDING = {"exit", "quit", "/exit", "/quit"}
_HELPING = {"?", "/help", "/?"}
_COMMAND = re.compile(r"/[A-Za-z?]+(?=\s|$)")


class Meant(enum.Enum):
    """What somebody wants who wrote a line."""

    MESSAGE = "the model is to answer it"
    HELP = "to know what can be pressed and written"
    END = "to end the chat"
    UNKNOWN = "a command that does not exist"


class TypedLine(NamedTuple):
    """What a line means, and its text: the message, or the unknown command."""

    meant: Meant
    text: str = ""


def meaning(line: str) -> TypedLine:
    """Return what a line means."""
    line = line.strip()
    if line.lower() in _ENDING:
        return TypedLine(Meant.END)
    if line.lower() in _HELPING:
        return TypedLine(Meant.HELP)
    if (command := _COMMAND.match(line)) is None:
        return TypedLine(Meant.MESSAGE, line)
    if command.group().lower() != "/say":
        return TypedLine(Meant.UNKNOWN, command.group())
    text = line[command.end() :].strip()
    return TypedLine(Meant.MESSAGE, text) if text else TypedLine(Meant.HELP)
