"""What a call looks like in the terminal: status line, quality in a word, transcript."""

from __future__ import annotations

import io
import os
import pty
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from rtcvoice import (
    CallStats,
    Delegation,
    DeviceChange,
    DeviceChanged,
    EventsDropped,
    LimitNear,
    LimitReached,
    Reconnected,
    Reconnecting,
    Turn,
    events,
)
from rtcvoice import Status as TurnStatus
from rtcvoice.cli import answers
from rtcvoice.cli import screen as screen_module
from rtcvoice.cli.answers import AnswerScreen
from rtcvoice.cli.live import LiveScreen, rows
from rtcvoice.cli.native_stderr import NativeStderr, quiet_libraries
from rtcvoice.cli.notices import connected_line, notice_of
from rtcvoice.cli.output import LineWriter
from rtcvoice.cli.quality import SILENT, Gauge, Grade, Quality
from rtcvoice.cli.screen import PlainScreen
from rtcvoice.cli.status import Meter, Status, keys_line, status_line
from rtcvoice.cli.transcript import REMEMBERED, Transcript
from rtcvoice.errors import clean
from rtcvoice.stats import PlayoutStats, TransportStats, UplinkStats
from rtcvoice.system.native_stderr import muffled

GOOD = Quality(Grade.GOOD, 0.004, 0.0381, 0.05)


def test_the_status_in_80_and_in_40_columns() -> None:
    status = Status(elapsed=62.4, you=0.5, assistant=1.0, quality=GOOD, keys=True)
    assert status_line(status, 79).plain == (
        "   1:02  you ▮▮▮▮▯▯▯▯  assistant ▮▮▮▮▮▮▮▮  ▂▄▆ good, 38 ms, 0 % lost  ? keys"
    )
    assert status_line(status, 119).plain.endswith(
        "▂▄▆ good, round trip 38 ms, 50 ms buffered, 0 % lost  ? keys"
    )
    assert status_line(status, 39).plain == "  1:02 you ▮▮▯▯ ai ▮▮▮▮ ▂▄▆ 38 ms ?"
    assert status_line(replace(status, muted=True), 39).plain == (
        "  1:02 you muted ai ▮▮▮▮ ▂▄▆ 38 ms ?"
    )
    assert status_line(status, 79, plain=True).plain == (
        "   1:02  you ####----  assistant ########  good, 38 ms, 0 % lost  ? keys"
    )


@settings(deadline=None, max_examples=80)
@given(
    st.floats(0, 1e6),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from(list(Grade)),
    st.one_of(st.none(), st.floats(0, 20)),
    st.integers(8, 200),
)
def test_the_status_always_fits(
    elapsed: float,
    level: float,
    muted: bool,
    grade: Grade,
    round_trip: float | None,
    width: int,
) -> None:
    quality = Quality(grade, level, round_trip)
    status = Status(elapsed, level, level, muted=muted, quality=quality, keys=True)
    for plain in (True, False):
        line = status_line(status, width, plain=plain).plain
        assert cell_len(line) <= width or " you " not in line
        assert line.isascii() or not plain


@pytest.mark.parametrize(
    ("route", "told"), [("udp", None), ("tcp", "by TCP"), ("websocket", "by WebSocket")]
)
def test_the_line_says_so_when_a_call_does_not_go_by_udp(route: str, told: str | None) -> None:
    gauge = Gauge()
    for second in range(6):
        transport = TransportStats(packets_received=second, route=route)
        quality = gauge.feed(replace(stats(50 * second), transport=transport), float(second))
    line = status_line(Status(5.0, quality=quality), 80).plain
    assert "good" in line
    assert (" by " in line) is (told is not None)
    assert told is None or told in line


def test_a_meter_jumps_up_and_sinks_slowly() -> None:
    meter = Meter()
    assert meter.feed(-100, 0.0) == 0
    assert meter.feed(-6, 0.1) == 1
    sinking = [meter.feed(-100, 0.1 + n / 10) for n in range(1, 15)]
    assert sinking == sorted(sinking, reverse=True)
    assert sinking[4] > 0.5
    assert sinking[-1] == 0


def stats(
    received: int,
    lost: int = 0,
    *,
    uplink: float = 0.0,
    round_trip: float | None = 0.04,
    datagrams: int | None = None,
    waited: float = 0.05,
) -> CallStats:
    playout = PlayoutStats(
        packets_received=received,
        packets_lost=lost,
        jitter_buffer_emitted_count=received * 480,
        jitter_buffer_delay=received * 480 * waited,
    )
    return CallStats(
        playout=playout,
        uplink=UplinkStats(fraction_lost=uplink, reports_received=1),
        transport=TransportStats(packets_received=received if datagrams is None else datagrams),
        round_trip_time=round_trip,
    )


@pytest.mark.parametrize(
    ("after", "grade"),
    [
        (stats(250), Grade.GOOD),
        (stats(240, 10), Grade.FAIR),
        (stats(200, 50), Grade.POOR),
        (stats(250, uplink=0.05), Grade.FAIR),
        (stats(250, uplink=0.2), Grade.POOR),
        (stats(250, round_trip=0.4), Grade.FAIR),
        (stats(250, round_trip=None), Grade.GOOD),
        (stats(250, waited=0.7), Grade.POOR),
        (stats(0, datagrams=10), Grade.GOOD),
    ],
)
def test_the_quality_in_a_word(after: CallStats, grade: Grade) -> None:
    gauge = Gauge()
    gauge.feed(stats(0), 0.0)
    assert gauge.feed(after, 5.0).grade is grade


def test_old_losses_are_forgotten_and_silence_is_noticed() -> None:
    gauge = Gauge()
    assert gauge.feed(CallStats(), 0.0).grade is Grade.UNKNOWN
    gauge.feed(stats(50, 50), 1.0)
    assert gauge.feed(stats(100, 50), 2.0).grade is Grade.POOR
    for second in range(3, 12):
        quality = gauge.feed(stats(50 * second, 50), float(second))
    assert (quality.grade, quality.loss) == (Grade.GOOD, 0.0)
    assert quality.delay == pytest.approx(0.05)
    frozen = stats(550, 50)
    assert gauge.feed(frozen, 12.0).grade is Grade.GOOD
    assert gauge.feed(frozen, 11.0 + SILENT).grade is Grade.QUIET
    assert gauge.feed(frozen, 11.2 + SILENT).grade is Grade.LOST


def a_pause(gauge: Gauge, began: float, length: float, *, lost: int = 0, route: str = "udp") -> str:
    """Feed a second of sound, a pause and sound again; return the line at the pause's end."""

    def fed(now: float, arrived: float, lost: int) -> Quality:
        transport = TransportStats(packets_received=int(50 * arrived), route=route)
        return gauge.feed(replace(stats(int(50 * arrived), lost), transport=transport), now)

    lost_before = int(began)  # they only grow
    fed(began - 1, began - 1, lost_before)
    fed(began, began, lost_before)
    quality = fed(began + length, began, lost_before)
    for later in (0.1, 1.2):  # what was lost shows a little later
        fed(began + length + later, began + length + later, lost_before + int(later) * lost)
    return status_line(Status(began, quality=quality), 80, plain=True).plain.rstrip()


def test_a_frozen_connection_is_told_of_before_it_is_lost() -> None:
    gauge = Gauge()
    assert "good" in a_pause(gauge, 10.0, 1.4)
    assert a_pause(gauge, 20.0, 3.0, lost=100).endswith("nothing arrives for 3 s")
    assert a_pause(gauge, 30.0, 3.0, lost=100).endswith("nothing arrives for 3 s")


def test_pauses_that_a_server_makes_are_learned() -> None:
    gauge = Gauge()
    assert a_pause(gauge, 10.0, 3.0).endswith("nothing arrives for 3 s")  # nobody knows it yet
    assert "good" in a_pause(gauge, 20.0, 4.0)
    assert a_pause(gauge, 30.0, 7.2).endswith("nothing arrives for 7 s")
    assert "good" in a_pause(Gauge(), 10.0, 4.0, route="websocket")  # silence is usual there


def message(item: str, role: str, kind: str, text: str | None = None, status: str = "completed"):
    part = events.ContentPart(type=kind, text=text)
    return events.Message(id=item, role=role, content=[part], status=status)


def added(item: str, role: str = "user", kind: str = "input_audio", text: str | None = None):
    return events.ConversationItemAdded(item=message(item, role, kind, text))


def turn(item: str, role: str, text: str = "", **fields: Any) -> Turn:
    """A turn as it is said; `status` makes it final."""
    usual: dict[str, Any] = {
        "status": TurnStatus.IN_PROGRESS,
        "final": "status" in fields,
        "spoken": True,
        "phase": None,
        "heard_ms": None,
        "heard_text": text,
        "reason": "",
        "response_id": "r" if role == "assistant" else "",
        "began": 0.0,
    }
    return Turn(id=item, role=role, text=text, **usual | fields)


def final(item: str, role: str, text: str = "", **fields: Any) -> Turn:
    return turn(item, role, text, **{"status": TurnStatus.COMPLETED} | fields)


def shown(transcript: Transcript) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(line.speaker, line.text, line.notes) for line in transcript.finished()]


def test_a_line_is_shown_as_soon_as_its_turn_is_final() -> None:
    transcript = Transcript()
    transcript.turn(turn("a", "user"))
    transcript.turn(turn("b", "assistant", "That "))
    assert [(line.speaker, line.text) for line in transcript.open_lines] == [
        ("you", ""),
        ("assistant", "That "),
    ]
    transcript.turn(final("a", "user", "What?"))
    assert shown(transcript) == [("you", "What?", ())]
    transcript.turn(turn("b", "assistant", "That is it."))
    assert [line.text for line in transcript.open_lines] == ["That is it."]
    transcript.turn(final("b", "assistant", "That is it."))
    assert shown(transcript) == [("assistant", "That is it.", ())]
    transcript.turn(final("b", "assistant", "That is it."))
    assert shown(transcript) == []
    assert transcript.open_lines == []


def test_of_an_interrupted_answer_only_what_was_heard_is_shown() -> None:
    transcript = Transcript()
    cut = {"status": TurnStatus.INTERRUPTED, "heard_ms": 900}
    transcript.turn(final("a", "assistant", "All of it.", heard_text="All", **cut))
    transcript.turn(final("b", "assistant", "Nothing of it.", heard_text="", **cut))
    transcript.turn(final("c", "assistant", "I wrote", spoken=False, status=TurnStatus.INTERRUPTED))
    failed = {"status": TurnStatus.FAILED, "reason": "rate\nlimit"}
    transcript.turn(final("d", "assistant", "I was", **failed))
    assert shown(transcript) == [
        ("assistant", "All ...", ("interrupted",)),
        ("assistant", "...", ("interrupted before it was heard",)),
        ("assistant", "I wrote ...", ("interrupted",)),
        ("assistant", "I was", ("failed: rate limit",)),
    ]


def test_words_that_come_late_are_told() -> None:
    transcript = Transcript()
    transcript.turn(final("a", "user"))
    transcript.turn(final("a", "user", "What?"))
    assert shown(transcript) == [
        ("you", "(no transcript)", ()),
        ("you", "What?", ("these words came late",)),
    ]
    transcript.transcribes = False
    transcript.turn(final("b", "user"))
    assert shown(transcript) == [("you", "(speaks)", ())]


def test_what_was_being_said_at_the_end_is_shown_and_no_line_is_kept() -> None:
    transcript = Transcript()
    for number in range(3000):
        transcript.turn(final(f"{number}", "user", "Yes."))
    assert len(shown(transcript)) == 3000
    transcript.turn(turn("a", "user"))
    transcript.turn(turn("b", "assistant", "Well"))
    transcript.end()
    assert shown(transcript) == [("assistant", "Well", ())]
    assert len(transcript._shown) == REMEMBERED


def terminal(width: int, height: int) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True)


def test_lines_are_wrapped_beside_or_below_their_speaker() -> None:
    text = "A jitter buffer holds the sound for a short moment before it is played."
    wide = [row.plain.rstrip() for row in rows(terminal(60 + 10, 20), 4.7, "assistant", text)]
    assert wide == [
        "  4.70 s  assistant  A jitter buffer holds the sound for a short",
        "                     moment before it is played.",
    ]
    narrow = [row.plain.rstrip() for row in rows(terminal(40, 20), 4.7, "assistant", text)]
    assert narrow == [
        "assistant  4.70 s",
        "  A jitter buffer holds the sound for a",
        "  short moment before it is played.",
    ]


class Window(io.StringIO):
    """A terminal as far as rich can tell."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_long_answer_never_pushes_the_status_out_of_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("TERM", "xterm")
    window = Window()
    with LiveScreen(window) as screen:
        screen.connected(a_call())
        screen.turn(turn("b", "assistant", "word " * 20_000))
        window.truncate(0)
        screen.toggle_keys()
        screen.tick(Status(elapsed=3.0, quality=GOOD, keys=True))
        drawn = window.getvalue()
    assert drawn.count("\n") < 12 * 2  # keys, and the tick
    assert "0:03 you" in drawn.splitlines()[-2]
    assert "interrupt" in drawn


def test_a_pipe_gets_one_line_each_and_no_control_codes() -> None:
    pipe = io.StringIO()
    screen = PlainScreen(pipe)
    screen.connected(a_call())
    screen.turn(final("a", "user", "One\nline\x1b[2J,\x9b2J please", spoken=False))
    assert pipe.getvalue().endswith("please\n")
    screen.turn(turn("b", "assistant", "Gladly"))
    screen.turn(final("b", "assistant", "Gladly."))
    first, second, third = pipe.getvalue().splitlines()
    assert first == "  0.00 s  call       connected in 0.02 s"
    assert second.endswith("you        One line[2J,2J please")
    assert third.endswith("assistant  Gladly.  (answered in 0.94 s)")


@pytest.mark.parametrize("in_front", [True, False])
def test_a_terminal_on_which_nothing_can_be_drawn_is_told_how_to_hang_up(
    monkeypatch: pytest.MonkeyPatch, *, in_front: bool
) -> None:
    reader, terminal = pty.openpty()
    monkeypatch.setattr(screen_module, "in_foreground", lambda descriptor: in_front)
    with os.fdopen(terminal, "w") as stream:
        screen = PlainScreen(stream)
        screen.connected(a_call())
        screen.notice("the end")
        told = b""
        while b"the end" not in told:
            told += os.read(reader, 1000)
    os.close(reader)
    assert (b"Ctrl-C hangs up" in told) == in_front


def test_whoever_types_lines_is_told_that_they_are_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(answers, "can_be_typed_at", lambda: False)
    AnswerScreen().connected(a_call())
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(answers, "can_be_typed_at", lambda: True)
    AnswerScreen().connected(a_call())
    assert "Ctrl-D" in capsys.readouterr().err


def a_call() -> Any:
    timings = SimpleNamespace(as_dict=lambda: {"token": 0.01, "total": 0.0234})
    latency = [SimpleNamespace(response_id="r", seconds=0.944)]
    return SimpleNamespace(timings=timings, session=None, latency=latency)


def test_what_took_long_to_connect_is_named() -> None:
    timings = {"token": 0.3, "devices": 1.24, "total": 1.9}
    assert connected_line(timings) == (
        "connected in 1.90 s; longest: opening the sound devices, 1.2 s"
    )


def test_clean_keeps_every_language() -> None:
    text = "Grüße 你好 👩‍👩‍👧 \N{NO-BREAK SPACE}é\n"
    assert clean(text) == text
    assert clean("\x1b]0;title\x07\t\r") == "]0;title "


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (EventsDropped(count=3), "3 events are not shown: too many came at once"),
        (
            LimitNear(limit="idle", used=240.1, maximum=300.0),
            "nobody has spoken for 240 s: in 60 s the call hangs up",
        ),
        (LimitReached(limit="idle", used=300.0, maximum=300.0), ""),
        (LimitNear(limit="cost", used=0.8, maximum=1.0), "80% of the limit on cost is used"),
        (
            DeviceChanged(
                end="microphone", change=DeviceChange.LOST, device="USB", reason="no callback"
            ),
            "the microphone 'USB' is lost, another is being looked for: no callback",
        ),
        (
            Reconnecting(reason="nothing was received", attempt=1),
            "the connection is lost, connecting again: nothing was received",
        ),
        (Reconnecting(reason="nothing was received", attempt=2), ""),
        (
            Reconnected(gap=3.21, replayed=7, dropped=0, renewed=False),
            "connected again after 3.2 s",
        ),
        (Reconnected(gap=0.0, replayed=7, dropped=0, renewed=True), ""),
        (
            Delegation(id="d", target="responses", transcript="", at=0.0),
            "the voice hands work to the text model behind it",
        ),
        (
            events.live.SessionPaused(),
            "the model pauses, which costs less; speech wakes it",
        ),
        (events.live.SessionResumed(), "the model listens again"),
        (added("a"), ""),
    ],
)
def test_what_a_user_should_know_is_told(event: object, told: str) -> None:
    assert notice_of(event) == told
    for change in DeviceChange:
        assert notice_of(DeviceChanged(end="loudspeaker", change=change, device="x", reason=""))


def test_the_keys_are_told() -> None:
    shown = "m mute   space interrupt   q hang up   Ctrl-Z twice suspend"
    assert [line.plain for line in keys_line(width=80)] == [shown]
    assert [line.plain for line in keys_line(width=30)] == [
        "m mute   space interrupt",
        "q hang up",
        "Ctrl-Z twice suspend",
    ]


def test_a_reader_that_pauses_holds_nobody_up_and_misses_nothing() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        lines = LineWriter(stream)
        begun = time.monotonic()
        for number in range(2000):
            lines.write(f"{number} " + "x" * 100)
        assert time.monotonic() - begun < 20
        with os.fdopen(reader) as reading:
            first = [reading.readline() for _ in range(400)]
            lines.flush()
            rest = threading.Thread(target=lambda: first.extend(reading.readlines()))
            rest.start()
            lines.flush(20.0)
            stream.close()
            rest.join()
    assert [int(line.split()[0]) for line in first] == list(range(2000))
    assert lines.dropped == 0


def test_a_reader_that_never_reads_costs_the_newest_lines() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader):
        lines = LineWriter(stream)
        for _ in range(6):
            lines.write("x" * (1 << 20))
        assert lines.dropped == 2
        lines.flush(0.05)


def test_a_reader_that_has_gone_is_told_of() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(BrokenPipeError):
        LineWriter(stream).write("Hello?")


def test_what_c_libraries_say_stands_in_no_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, terminal = pty.openpty()
    stderr = os.dup(2)
    try:
        os.dup2(terminal, 2)
        with os.fdopen(terminal, "w") as ours:
            monkeypatch.setattr(sys, "stderr", ours)
            with quiet_libraries():
                os.write(2, b"ALSA lib: underrun occurred\n")
                sys.stderr.write("ours\n")
                sys.stderr.flush()
            os.write(2, b"after\n")
            assert sys.stderr is ours
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    told = b""  # a terminal may give what was written in pieces
    while b"after" not in told:
        told += os.read(seen, 1000)
    assert told.split() == [b"ours", b"after"]
    os.close(seen)


def test_what_c_libraries_complain_of_is_logged_while_lines_are_drawn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "rtcvoice")
    before = os.fstat(2)
    native = NativeStderr()
    native.divert()
    native.divert()
    os.write(2, b"Expression 'x' failed in 'pa_linux_alsa.c'\n")
    native.restore()
    native.restore()
    assert caplog.messages == ["stderr: Expression 'x' failed in 'pa_linux_alsa.c'"]
    assert os.path.samestat(os.fstat(2), before)


def test_two_that_lead_stderr_elsewhere_do_not_undo_each_other() -> None:
    """The terminal takes its own back while a device is being opened on another thread."""
    before = os.fstat(2)
    native = NativeStderr()
    native.divert()
    with muffled():
        native.restore()
        assert native._thread is None
        assert os.path.samestat(os.fstat(2), os.stat(os.devnull))
    assert os.path.samestat(os.fstat(2), before)
    with muffled():
        native.divert()
    assert not os.path.samestat(os.fstat(2), before)
    native.restore()
    assert os.path.samestat(os.fstat(2), before)
