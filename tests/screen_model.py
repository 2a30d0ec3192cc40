"""A small terminal: what is on screen after some output, also when its window is resized."""

from __future__ import annotations

import re

_PARTS = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|(\x1b[78]|[\r\n])|([^\x1b\r\n]+)")


class Window:
    """Wraps long rows, and does so anew when it is resized, as most terminals do.

    Rows that scrolled off are kept: `lines` is all that was ever written and not wiped away. As in
    tmux, a row of which the end was erased stays as long as it was, and is wrapped with its blanks.
    """

    def __init__(self, columns: int, *, wraps_anew: bool = True) -> None:
        self.columns = columns
        self._wraps_anew = wraps_anew
        self._rows = [""]
        self._joined = [False]  # whether a row goes on in the next one
        self._wraps = True
        self._row = self._column = 0
        self._saved = (0, 0)

    @property
    def lines(self) -> list[str]:
        """What is seen, without the empty rows at the end."""
        rows = [row.rstrip() for row in self._rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def write(self, text: str) -> None:
        for argument, command, control, words in _PARTS.findall(text):
            if words:
                for sign in words:
                    self._put(sign)
            elif control == "\r":
                self._column = 0
            elif control == "\n":
                self._down()
            elif control == "\x1b7":
                self._saved = (self._row, self._column)
            elif control == "\x1b8":
                self._row, self._column = self._saved
            elif command == "A":
                self._row = max(0, self._row - int(argument or 1))
            elif command == "B":
                self._row = min(len(self._rows) - 1, self._row + int(argument or 1))
            elif command == "K" and argument == "2":
                self._rows[self._row], self._joined[self._row] = "", False
            elif command in "JK":
                clears = command == "J" and self._row == self._column == 0
                assert not (clears and any(self._rows)), "tmux keeps the whole screen as history"
                row = self._rows[self._row]
                self._rows[self._row] = row[: self._column].ljust(len(row))
                self._joined[self._row] = False
                if command == "J":
                    del self._rows[self._row + 1 :], self._joined[self._row + 1 :]
            elif argument == "?7":
                self._wraps = command == "h"
            else:
                assert command in "mhl", (argument, command)

    def resize(self, columns: int) -> None:
        """Change the width; the cursor is in the first column, as it is between two writes."""
        assert self._column == 0
        self.columns = columns
        if not self._wraps_anew:
            self._rows = [row[:columns] for row in self._rows]
            return
        logical: list[str] = [""]
        cursor = 0
        for index, row in enumerate(self._rows):
            if index == self._row:
                cursor = len(logical) - 1
            logical[-1] += row
            if not self._joined[index]:
                logical.append("")
        self._rows, self._joined = [], []
        for index, row in enumerate(logical[:-1]):
            if index == cursor:
                self._row = len(self._rows)
            pieces = [row[at : at + columns] for at in range(0, len(row), columns)] or [""]
            self._rows += pieces
            self._joined += [True] * (len(pieces) - 1) + [False]

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append("")
            self._joined.append(False)

    def _put(self, sign: str) -> None:
        if self._column == self.columns and not self._wraps:
            self._column -= 1
        if self._column == self.columns:
            self._joined[self._row] = True
            self._column = 0
            self._down()
        row = self._rows[self._row].ljust(self._column)
        self._rows[self._row] = row[: self._column] + sign + row[self._column + 1 :]
        self._column += 1
