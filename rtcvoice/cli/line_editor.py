"""A line that is being written: what is typed goes in, finished lines come out; pure.

The keys are those that shells share: arrows, Home, End, Delete, Ctrl-A/E/B/F/D/H/K/U/W, and up and
down through the lines that were sent before. What is pasted goes in as it is, with its line breaks,
and finishes nothing: a terminal in "bracketed paste" mode says where it begins and ends. What is
longer than one read of the terminal comes in pieces.
"""

from __future__ import annotations

import re

__all__ = ["LONGEST", "PASTE_BEGINS", "PASTE_ENDS", "LineEditor"]

PASTE_BEGINS, PASTE_ENDS = "\x1b[200~", "\x1b[201~"

LONGEST = 20_000
"""Characters of a line. FULL: further ones are ignored, and `overflowed` says so."""

PAUSE = 1.0
"""Seconds without any of a paste, after which a single key is typed by hand: its end was lost."""

REMEMBERED = 200
"""Lines that can be had back."""

_ESCAPE = re.compile(r"\x1b(?:\[\[[A-E]|[\[O][0-?]*[ -/]*[@-Z\\-~]|[^\[O\x1b])")
_UNFINISHED = re.compile(r"\x1b(?:\[\[|[\[O][0-?]{0,30})?\Z")
"""What a key sends, and its beginning. F1 to F5 of the Linux console send `ESC [ [ A` to `E`."""

_PASTED = re.compile(r"[^\x1b]+")
_TYPED = re.compile(r"[^\x00-\x1f\x7f]+")

_BREAK = re.compile(r"[\r\n]")
_KEYS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_MEANINGS = {
    "\x1b[A": "\x10",
    "\x1b[B": "\x0e",
    "\x1b[C": "\x06",
    "\x1b[D": "\x02",
    "\x1b[H": "\x01",
    "\x1b[F": "\x05",
    "\x1b[1~": "\x01",
    "\x1b[4~": "\x05",
    "\x1b[3~": "\x1b[3~",
}
"""What keys send, and which control key does the same; `ESC O` is read as `ESC [`."""


class LineEditor:
    """The line, and where the cursor is in it."""

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self.ended = False
        """Whether Ctrl-D was typed on an empty line."""
        self.overflowed = False
        """Whether something was ignored because the line was full, in this line."""
        self._pending = ""
        self._pasting = False
        self._returned = False  # whether the latest that was pasted is a carriage return
        self._read_at = 0.0
        self._lines: list[str] = []
        self._shown = 0  # index of the remembered line that is shown
        self._own = ""  # what was being written before one was had back

    def read(self, typed: str, now: float) -> list[str]:
        """Take what was read of a terminal at once, at `now` in seconds; return as `feed`.

        Several lines without keys are taken for pasted, also where the terminal does not say so.
        """
        if self._pasting and len(typed) == 1 and now - self._read_at > PAUSE:
            self._pasting = False
        self._read_at = now
        goes_on = self._pasting or self._pending
        return self.feed(typed if goes_on else _as_pasted(typed))

    def feed(self, typed: str) -> list[str]:
        """Take what was typed; return the lines that were finished by it, without empty ones."""
        typed, self._pending = self._pending + typed, ""
        if rest := _UNFINISHED.search(typed):
            typed, self._pending = typed[: rest.start()], rest.group()
        finished: list[str] = []
        position = 0
        while position < len(typed) and not self.ended:
            if run := (_PASTED if self._pasting else _TYPED).match(typed, position):
                position = run.end()
                if self._pasting:
                    self._paste(run.group())
                else:
                    self._insert(run.group())
                continue
            escape = _ESCAPE.match(typed, position)
            key = escape.group() if escape else typed[position]
            position += len(key)
            if key in (PASTE_BEGINS, PASTE_ENDS):
                self._pasting, self._returned = key == PASTE_BEGINS, False
            elif self._pasting:
                continue  # keys that a paste would press
            elif key in "\r\n":
                finished += self._finish()
            else:
                self._do(_MEANINGS.get(key.replace("\x1bO", "\x1b["), key))
        return finished

    def clear(self) -> None:
        """Forget what was being written, and a key or a paste that has come in part."""
        self._pending = ""
        self._begin()

    def _begin(self) -> None:
        self.text, self.cursor, self._shown = "", 0, len(self._lines)
        self._pasting = self.overflowed = False

    def _finish(self) -> list[str]:
        line = self.text.strip()
        if line and line not in self._lines[-1:]:
            self._lines = [*self._lines[1 - REMEMBERED :], line]
        self._begin()
        return [line] if line else []

    def _paste(self, run: str) -> None:
        if self._returned and run.startswith("\n"):
            run = run[1:]
        self._returned = run.endswith("\r")
        self._insert(run.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    "))

    def _insert(self, text: str) -> None:
        text = "".join(each for each in text if each == "\n" or each.isprintable())
        room = max(0, LONGEST - len(self.text))
        self.overflowed = self.overflowed or len(text) > room
        self._set(self.text[: self.cursor] + text[:room], self.text[self.cursor :])

    def _do(self, key: str) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match key:
            case "\x7f" | "\x08":
                self._set(before[:-1], after)
            case "\x04" if not self.text:
                self.ended = True
            case "\x04" | "\x1b[3~":
                self._set(before, after[1:])
            case "\x15":
                self._set("", after)
            case "\x0b":
                self._set(before, "")
            case "\x17":
                self._set(re.sub(r"\S*\s*$", "", before), after)
            case "\x01":
                self.cursor = 0
            case "\x05":
                self.cursor = len(self.text)
            case "\x02":
                self.cursor = max(0, self.cursor - 1)
            case "\x06":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "\x10":
                self._show(self._shown - 1)
            case "\x0e":
                self._show(self._shown + 1)
            case "\t":
                self._insert(" ")

    def _set(self, before: str, after: str) -> None:
        self.text, self.cursor = before + after, len(before)

    def _show(self, index: int) -> None:
        """Show another of the lines that were sent; the last is the one being written."""
        if not 0 <= index <= len(self._lines):
            return
        if self._shown == len(self._lines):
            self._own = self.text
        self._shown = index
        self._set(self._own if index == len(self._lines) else self._lines[index], "")


def _as_pasted(typed: str) -> str:
    """Mark what was read at once as pasted where it is several lines of text and no keys.

    For a terminal that does not mark it, and for what is pasted before it is asked to.
    """
    text = typed.rstrip("\r\n")
    if not _BREAK.search(text) or _KEYS.search(typed):
        return typed
    return f"{PASTE_BEGINS}{text}{PASTE_ENDS}{typed[len(text) :]}"
