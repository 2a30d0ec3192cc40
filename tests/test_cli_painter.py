"""The bottom of the terminal: painted at once, nothing twice, nothing left after a resize."""

from __future__ import annotations

import io
import os
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_model import Window
from test_cli_screen import a_call, final, turn

from rtcvoice.cli.live import LiveScreen
from rtcvoice.cli.painter import Painter, Row, wraps_anew
from rtcvoice.cli.status import Status


class Terminal(io.StringIO):
    """A stream that is a terminal of 80 columns; each write is kept."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(80)
        self.writes: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes.append(text)
        self.window.write(text)
        return len(text)


def painter(terminal: Terminal) -> Painter:
    return Painter(terminal, lambda: (terminal.window.columns, 24))


def row(text: str) -> Row:
    return Row(text, len(text))


def test_a_change_is_one_write_and_no_change_is_none() -> None:
    terminal = Terminal()
    bottom = painter(terminal)
    bottom.start()
    bottom.paint([], [row("you say"), row("status")])
    bottom.paint([], [row("you say"), row("status")])
    bottom.paint(["you said"], [row("status 2")])
    assert len(terminal.writes) == 3  # the cursor, and two changes
    for written in terminal.writes[1:]:
        assert written.startswith("\x1b[?2026h")
        assert written.endswith("\r\x1b[?2026l")
    assert terminal.window.lines == ["you said", "status 2"]
    bottom.stop()
    assert terminal.window.lines == ["you said"]
    assert terminal.writes[-1].endswith("\x1b[?25h")


WIDTHS = st.lists(st.integers(12, 120), min_size=1, max_size=6)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(WIDTHS, st.integers(0, 8), st.integers(0, 300)), max_size=6))
def test_nothing_is_left_behind_however_the_window_changes(
    steps: list[tuple[list[int], int, int]],
) -> None:
    terminal = Terminal()
    bottom = painter(terminal)
    bottom.start()
    finished = []
    for number, (widths, rows, length) in enumerate(steps):
        for width in widths:
            terminal.window.resize(width)
        wide = terminal.window.columns - 1
        block = [row("x" * min(wide, length)) for _ in range(rows)] + [row("status"[:wide])]
        finished.append(f"line {number}")
        bottom.paint(finished[-1:], block)
        assert terminal.window.lines == [*finished, *(each.written for each in block)]
    bottom.stop()
    assert terminal.window.lines == finished


def test_a_terminal_may_tell_of_its_new_width_late() -> None:
    terminal, told = Terminal(), [80]
    bottom = Painter(terminal, lambda: (told[0], 24))
    bottom.start()
    bottom.paint(["finished"], [row("x" * 79), row("y" * 79), row("status " * 11)])
    terminal.window.resize(30)
    for number in range(3):
        bottom.paint([], [row("x" * 79), row("y" * 79), row(f"status {number}".ljust(77))])
    told[0] = 30
    bottom.paint([], [row("x" * 29), row("y" * 29), row("status")])
    assert terminal.window.lines == ["finished", "x" * 29, "y" * 29, "status"]
    terminal.window.resize(80)
    bottom.paint([], [row("x" * 29), row("y" * 29), row("status 3")])
    told[0] = 80
    bottom.paint([], [row("x" * 58), row("status 4")])
    assert terminal.window.lines == ["finished", "x" * 58, "status 4"]


def test_a_terminal_that_does_not_wrap_anew_loses_no_finished_line() -> None:
    terminal = Terminal()
    terminal.window = Window(80, wraps_anew=False)
    bottom = Painter(terminal, lambda: (terminal.window.columns, 24), wraps_anew=False)
    bottom.start()
    bottom.paint(["finished"], [row("x" * 79), row("status")])
    terminal.window.resize(20)
    bottom.paint([], [row("x" * 19), row("status")])
    assert terminal.window.lines == ["finished", "x" * 19, "status"]


@pytest.mark.parametrize(
    ("environment", "anew"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(379)"}, False),
        ({"TERM": "tmux", "XTERM_VERSION": "XTerm(379)", "TMUX": "/tmp/x"}, True),
        ({"TERM": "screen", "STY": "1.pts"}, False),
        ({"TERM": "linux"}, False),
    ],
)
def test_which_terminals_wrap_anew(environment: dict[str, str], anew: bool) -> None:
    assert wraps_anew(environment.get) is anew


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def times_on_screen(terminal: Terminal, text: str) -> list[int]:
    """How often `text` was to be seen after each write."""
    window, counts = Window(80), []
    for written in terminal.writes:
        window.write(written)
        counts.append("\n".join(window.lines).count(text))
    return counts


def test_an_answer_that_becomes_final_is_never_seen_twice(terminal: Terminal) -> None:
    with LiveScreen(terminal) as screen:
        screen.connected(a_call())
        screen.turn(turn("b", "assistant", "All of"))
        screen.tick(Status(1.0))
        screen.turn(turn("b", "assistant", "All of it."))
        screen.tick(Status(1.1))
        screen.turn(final("b", "assistant", "All of it."))
        screen.tick(Status(1.2))
    assert set(times_on_screen(terminal, "All of it")) == {0, 1}
    assert terminal.window.lines[-1].endswith("All of it.  (answered in 0.94 s)")


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_no_row_is_wrapped_by_the_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal.window = Window(columns)
    with LiveScreen(terminal) as screen:
        screen.hint = "Enter sends, Ctrl-C stops the answer, Ctrl-D ends, /help: more"
        screen.connected(a_call())
        screen.turn(turn("b", "assistant", "word " * 30))
        screen.toggle_keys()
        screen.tick(Status(1.0, keys=True))
        screen.turn(final("b", "assistant", "word " * 30))
        screen.toggle_keys()
    assert not any(terminal.window._joined)


def test_what_the_log_says_goes_above(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Terminal()
    monkeypatch.setattr(sys, "stderr", log)
    before = os.fstat(2)
    with LiveScreen(terminal) as screen:
        screen.connected(a_call())
        screen.tick(Status(1.0))
        sys.stderr.write("10:00 rtcvoice.call \x1b[2Jready\nhalf a ")
        sys.stderr.write("line\n")
    assert [re.sub(r"\s+", " ", line) for line in terminal.window.lines] == [
        " 0.00 s call connected in 0.02 s",
        "10:00 rtcvoice.call [2Jready",
        "half a line",
    ]
    assert sys.stderr is log
    assert log.writes == []
    assert os.path.samestat(os.fstat(2), before)
