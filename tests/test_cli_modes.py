"""Ways to talk from the terminal: push to talk, in writing, translated, with tools and limits."""

from __future__ import annotations

import json
import re
import termios
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import again_if_late
from test_cli_screen import final, turn
from test_cli_terminal import RTCVOICE, Terminal, question
from town import Town

from rtcvoice import CallUsage, ToolCancelled, ToolFailed, ToolFinished, ToolStarted
from rtcvoice.cli import main
from rtcvoice.cli.chat_commands import Meant, meaning
from rtcvoice.cli.line_editor import LONGEST, PASTE_BEGINS, PASTE_ENDS, LineEditor
from rtcvoice.cli.options import parse
from rtcvoice.cli.push_to_talk import RELEASE, PushKey
from rtcvoice.cli.summary import Summary
from rtcvoice.cli.tool_lines import tool_line
from rtcvoice.cli.transcript import Transcript
from rtcvoice.cli.translate import choose_way, instructions_for, translator
from rtcvoice.conversation.accounts.usage import UsageMeter
from rtcvoice.emulator import Pace, prompt_path
from rtcvoice.live.state.billing import Billing

# ---- when a key is held


def talking(presses: list[float], until: float) -> list[float]:
    """Return when talking began and ended, looked at every 10 ms."""
    key, presses, changes = PushKey(), list(presses), []
    for tick in range(int(until * 100)):
        now, before = tick / 100, key.talks
        key.check(now)
        while presses and presses[0] <= now:
            key.press(presses.pop(0))
        if key.talks is not before:
            changes.append(now)
    return changes


def test_two_taps_begin_and_end() -> None:
    assert talking([1.0, 3.0], 5) == [1.0, pytest.approx(3.0 + RELEASE, abs=0.011)]


@pytest.mark.parametrize("period", [0.03, 0.092])
@pytest.mark.parametrize("delay", [0.25, 0.5, 1.0])
def test_a_key_that_is_held_talks_until_it_comes_up(delay: float, period: float) -> None:
    repeats = [1.0 + delay + n * period for n in range(int(3.0 / period))]
    up = repeats[-1]
    assert talking([1.0, *repeats], 7) == [1.0, pytest.approx(up + RELEASE, abs=0.02)]


def test_a_tap_talks_until_the_next_one() -> None:
    assert talking([1.0], 60) == [1.0]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 5), max_size=20))
def test_nobody_talks_for_less_than_a_release(presses: list[float]) -> None:
    changes = talking(sorted(presses), 8)
    ends = zip(changes[::2], changes[1::2], strict=False)
    assert all(end - begin >= RELEASE - 0.011 for begin, end in ends)
    assert bool(changes) == bool(presses)


# ---- the line that is being written


@pytest.mark.parametrize(
    ("typed", "lines", "text"),
    [
        ("one\rtwo\nthr", ["one", "two"], "thr"),
        ("\n  \n", [], ""),
        ("abc\x7f\x7fd", [], "ad"),
        ("abc\x1b[D\x1b[DX", [], "aXbc"),
        ("abc\x01X\x05Y", [], "XabcY"),
        ("abc\x1bOHX\x1bOFY", [], "XabcY"),
        ("one two\x17three", [], "one three"),
        ("one two\x02\x02\x0b", [], "one t"),
        ("one\x02\x15", [], "e"),
        ("abc\x01\x1b[3~\x04", [], "c"),
        ("a\tb\x1b[15~c\x1bxd\x00", [], "a bcd"),
        ("a\x1b[[Ab\x1b[?25hc\x1b[<0;1;1M\x1bOPd", [], "abcd"),
        ("one\ntwo\nmine\x1b[A\x1b[A\x1b[A", ["one", "two"], "one"),
        ("one\ntwo\nmine\x1b[A\x1b[B", ["one", "two"], "mine"),
        ("one\n\x10\n", ["one", "one"], ""),
        ("see: \x1b[200~a\n\nb\x1b[201~\n", ["see: a\n\nb"], ""),
        ("\x1b[200~a\r\n\tb\rc\n\x1b[201~!", [], "a\n    b\nc\n!"),
        ("\x1b[200~a\x04\x15\x1b[Db\x1b[201~\x1b[DX", [], "aXb"),
    ],
)
def test_keys(typed: str, lines: list[str], text: str) -> None:
    editor = LineEditor()
    assert editor.feed(typed) == lines
    assert editor.text == text
    assert not editor.ended


def test_control_d_ends_where_nothing_is_written() -> None:
    editor = LineEditor()
    assert editor.feed("a\x04\x01\x04\x04rest") == []
    assert editor.ended


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=3),
            st.sampled_from(
                ["\x1b", "\x1b[A", "\x1bOD", "\x1b[3~", "\n", "\r", PASTE_BEGINS, PASTE_ENDS]
            ),
        )
    ),
    st.data(),
)
def test_it_does_not_matter_how_the_keys_come(keys: list[str], data: st.DataObject) -> None:
    typed = "".join(keys)
    whole, apart = LineEditor(), LineEditor()
    lines = whole.feed(typed)
    cut = data.draw(st.integers(0, len(typed)))
    assert apart.feed(typed[:cut]) + apart.feed(typed[cut:]) == lines
    assert (apart.text, apart.cursor) == (whole.text, whole.cursor)
    assert 0 <= whole.cursor <= len(whole.text)
    assert whole.text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("one\ntwo\n", ["one\ntwo"]),
        ("one\r\rtwo\r", ["one\n\ntwo"]),
        ("one\n", ["one"]),
        ("one\ntwo", []),  # until Enter is pressed
        ("one\n\x1b[A\n", ["one", "one"]),
        ("one\n\x04", ["one"]),
    ],
)
def test_lines_that_come_at_once_are_one_message_without_the_terminal_s_help(
    typed: str, lines: list[str]
) -> None:
    editor = LineEditor()
    assert editor.read(typed, 0.0) == lines


def read_in_pieces(editor: LineEditor, typed: str, size: int) -> list[str]:
    """Return what comes of what is read as of a terminal, which gives some kilobytes at once."""
    pieces = [typed[begin : begin + size] for begin in range(0, len(typed), size)]
    return [line for piece in pieces for line in editor.read(piece, 0.0)]


@pytest.mark.parametrize("size", [1, 7, 100, 4095])
def test_a_paste_that_is_read_in_pieces_is_one_message(size: int) -> None:
    pasted = "".join(f"line {number}\n" for number in range(500))
    typed = f"{PASTE_BEGINS}{pasted}{PASTE_ENDS}\n"
    assert read_in_pieces(LineEditor(), typed, size) == [pasted.strip()]


def test_a_paste_in_a_paste() -> None:
    editor = LineEditor()
    assert editor.read(f"{PASTE_BEGINS}one\n{PASTE_BEGINS}two\n{PASTE_ENDS}", 0.0) == []
    assert editor.read(f"three{PASTE_ENDS}\n", 0.0) == ["one\ntwo\nthree"]


def test_a_paste_of_a_megabyte_fills_the_line_and_says_so() -> None:
    editor = LineEditor()
    assert read_in_pieces(editor, PASTE_BEGINS + "word\n" * 200_000, 4095) == []
    assert len(editor.text) == LONGEST
    assert editor.overflowed
    assert [len(line) for line in editor.read(f"{PASTE_ENDS}\n", 0.0)] == [LONGEST - 1]
    assert editor.read("next\n", 0.0) == ["next"]
    assert not editor.overflowed
    assert read_in_pieces(editor, "word " * 200_000, 4095) == []
    assert editor.overflowed


def test_control_c_ends_a_paste_that_never_ends() -> None:
    editor = LineEditor()
    assert editor.read(f"{PASTE_BEGINS}one\n\x1b[20", 0.0) == []
    editor.clear()
    assert editor.read("two\n", 0.0) == ["two"]


def test_enter_by_hand_ends_a_paste_whose_end_was_lost() -> None:
    editor = LineEditor()
    assert editor.read(f"{PASTE_BEGINS}one\ntwo", 0.0) == []
    assert editor.read("\n", 0.9) == []  # of the paste, for all that is known
    assert editor.read("a long\nrest", 5.0) == []  # it was under way for long
    assert editor.read("\r", 6.1) == ["one\ntwo\na long\nrest"]


def test_a_key_of_which_no_end_comes_is_not_waited_for() -> None:
    editor = LineEditor()
    assert read_in_pieces(editor, "\x1b[" + "1;" * 1000 + "x", 100) == []
    assert editor.read("\n", 0.0) == ["[" + "1;" * 1000 + "x"]


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("Hello?", (Meant.MESSAGE, "Hello?")),
        ("exit", (Meant.END, "")),
        ("/quit", (Meant.END, "")),
        ("QUIT", (Meant.END, "")),
        ("exit strategies of firms", (Meant.MESSAGE, "exit strategies of firms")),
        ("?", (Meant.HELP, "")),
        ("/help", (Meant.HELP, "")),
        ("/say exit", (Meant.MESSAGE, "exit")),
        ("/say", (Meant.HELP, "")),
        ("/clear all", (Meant.UNKNOWN, "/clear")),
        ("/etc/hosts: what is it?", (Meant.MESSAGE, "/etc/hosts: what is it?")),
        ("/ divides", (Meant.MESSAGE, "/ divides")),
    ],
)
def test_what_is_written_at_the_prompt_is_not_always_a_message(
    line: str, wish: tuple[Meant, str]
) -> None:
    assert meaning(line) == wish


# ---- what is told

CALLED: Any = {"name": "add", "call_id": "c", "item_id": "i"}
STARTED = ToolStarted(arguments={"a": 2, "b": "\u00e9"}, **CALLED)
FINISHED = ToolFinished(output='["\u00e9",2]', seconds=0.25, **CALLED)


def test_tools_are_told_in_a_line_each() -> None:
    assert tool_line(STARTED) == 'add(a=2, b="\u00e9")'
    assert tool_line(FINISHED) == 'add gave ["\u00e9", 2] after 0.25 s'
    assert tool_line(ToolFailed(failure="raised", message="no", **CALLED)) == "add failed: no"
    assert "given up" in tool_line(ToolCancelled(**CALLED))
    assert len(tool_line(ToolFinished(output="x" * 9999, seconds=1, **CALLED))) < 250


def test_tools_are_in_their_place_in_the_transcript() -> None:
    """Behind what the user said, although its words come later."""
    transcript = Transcript()
    transcript.turn(turn("u", "user", began=1.0))
    transcript.tool(STARTED, 2.0)
    transcript.tool(FINISHED, 2.25)
    assert list(transcript.finished()) == []
    transcript.turn(final("u", "user", "Add!", began=1.0))
    lines = [(line.speaker, line.began) for line in transcript.finished()]
    assert lines == [("you", 1.0), ("tool", 2.0), ("tool", 2.25)]


def usage() -> CallUsage:
    return UsageMeter("gpt-realtime-2.1").snapshot()


def test_the_account() -> None:
    line = str(Summary(usage(), [0.5, 2.0, 1.0]))
    assert line.startswith("0 responses, 0 tokens in, 0 out; US$ 0.0000 at the prices of ")
    assert line.endswith("; first sound after 1.00 s (median), 2.00 s (worst)")
    assert str(Summary(usage(), [0.5], until="first word")).endswith("; first word after 0.50 s")
    assert "after" not in str(Summary(usage(), []))
    free = Summary(usage(), [0.5], free=True)
    assert "US$" not in str(free) + free.line(["over"], None)
    assert free.as_dict()["cost"] == 0


def test_the_account_of_gpt_live_tells_the_time() -> None:
    usage = Billing("gpt-live-1.1")
    usage.created(0.0)
    summary = Summary(usage.snapshot(90.0), [])
    assert str(summary).startswith("1 min 30 s; US$ 0.0750")
    assert str(Summary(usage.snapshot(90.0), [], free=True)).startswith("1 min 30 s, 0 tokens")
    told = summary.as_dict()
    assert (told["seconds"], told["standby_seconds"]) == (90.0, 0.0)
    assert "seconds" not in Summary(UsageMeter("gpt-realtime-2.1").snapshot(), []).as_dict()


def test_the_account_fits_into_a_line() -> None:
    summary = Summary(usage(), [0.5, 2.0, 1.0])
    assert summary.line(["hung up"], None).startswith("hung up; 0 responses, 0 tokens in, 0 out;")
    for width in (59, 99, 130):
        assert len(summary.line(["hung up"], width)) <= width
    assert summary.line(["hung up", "a.wav has 3.1 s"], 37) == (
        "hung up; a.wav has 3.1 s; US$ 0.0000"
    )


def test_the_account_as_values() -> None:
    told = Summary(usage(), [0.5, 2.0]).as_dict()
    assert told["latency"] == {"answers": 2, "median": 1.25, "worst": 2.0}
    assert Summary(usage(), []).as_dict()["latency"]["median"] is None


def test_an_interpreter_is_told_the_languages() -> None:
    assert instructions_for("French").startswith("Translate everything that is said into French.")
    assert "said in Thai into French" in instructions_for("French", source="Thai")
    both = instructions_for("French", source="Thai", both=True)
    assert "in Thai into French" in both
    assert "in French into Thai" in both


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["translate"], "--to"),
        (["translate", "--to", "French", "--both", "--emulator"], "add --from LANG"),
        (
            ["translate", "--to", "es", "--both", "--model", "gpt-realtime-translate"],
            "--both needs a Realtime model",
        ),
        (["--limit-cost", "0"], "not a number above 0"),
        (["text", "--limit-tokens", "1.5"], "not a whole number"),
        (["--emulator", "--push-to-talk"], "needs a terminal"),
        (["text", "--emulator", "--tools", "missing.py"], "there is no such file"),
        (["text", "--script", "a.yaml"], "--script works only with --emulator"),
    ],
)
def test_what_makes_no_sense_is_explained(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 2


# ---- whole calls


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    town = Town(pace=Pace(response_latency=0.02))
    yield town
    town.close()


@pytest.fixture
def call(town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that runs a command line, with some text as its stdin; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
    monkeypatch.setenv("OPENAI_BASE_URL", town.emulator.url)

    def call(*arguments: str, stdin: str = "") -> int:
        (tmp_path / "stdin").write_text(stdin)
        with (tmp_path / "stdin").open() as file:
            monkeypatch.setattr("sys.stdin", file)
            return main(arguments)

    return call


def test_a_chat_through_pipes(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stdin = "Please add two and three.\n\nWhat is the weather in Ulm?"
    assert call("text", "--tools", "demo", stdin=stdin) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "The result is 5.",
        "The result is city Ulm, sky foggy, degrees 14, unit celsius.",
    ]
    lines = err.splitlines()
    assert lines[0] == "tool  add(a=2.0, b=3.0)"
    assert re.fullmatch(r"tool  add gave 5\.0 after \d+\.\d\d s", lines[1])
    assert lines[2] == 'tool  weather(city="Ulm")'
    assert lines[-1].startswith("4 responses, ")
    assert "first word after" in lines[-1]


def test_a_limit_ends_a_chat_politely(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("text", "--limit-tokens", "1", "--json", stdin="Hi\nHi again\n") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [line["event"]["type"] for line in lines if "event" in line]
    assert "rtcvoice.limit_reached" in kinds
    assert kinds.count("response.done") == 1
    assert lines[-1]["ended"]["reason"] == "the limit of 1 tokens was reached"
    assert lines[-1]["ended"]["summary"]["tokens"]["input"] > 0
    assert lines[-1]["ended"]["summary"]["cost"] > 0
    session = lines[0]["connected"]["session"]
    assert session["output_modalities"] == ["text"]
    assert session["audio"]["input"].get("turn_detection") is None


@again_if_late
def test_each_turn_of_a_file_is_translated_by_instructions(
    call: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with wave.open(str(tmp_path / "q.wav"), "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(question(0.5).tobytes())
    arguments = ("--by-instructions", "--input", "q.wav", "--output", "a.wav", "--seconds", "2")
    assert call("translate", "--to", "French", "--json", *arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    session = lines[0]["connected"]["session"]
    assert "into French" in session["instructions"]
    detection = session["audio"]["input"]["turn_detection"]
    assert detection["create_response"] is detection["interrupt_response"] is False
    kinds = [line["event"]["type"] for line in lines if "event" in line]
    assert kinds.count("input_audio_buffer.committed") == kinds.count("response.done") == 1
    assert lines[-1]["ended"]["summary"]["latency"]["answers"] == 1
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() / file.getframerate() > 1


STOP = ("--input", str(prompt_path("stop")), "--output", "none")


@again_if_late
def test_a_file_is_translated_by_the_service_s_own_interpreter(
    call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("translate", "--to", "French", "--json", *STOP, "--seconds", "2.5") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["connected"]["session"]["model"] == "gpt-realtime-translate"
    told = [line["event"] for line in lines if "event" in line]
    assert _words(told, "input") == "Stop, please."
    assert _words(told, "output").startswith("This is a")
    assert not [line for line in lines if "notice" in line]


def _words(told: list[Any], side: str) -> str:
    kind = f"session.{side}_transcript.delta"
    return "".join(event["delta"] for event in told if event["type"] == kind)


def test_where_a_server_has_no_interpreter_instructions_do_it(
    call: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcvoice.emulator.rest.models.TRANSLATION_MODELS", ())
    assert call("translate", "--to", "French", "--json", *STOP, "--seconds", "0.5") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (connected,) = (line["connected"] for line in lines if "connected" in line)
    assert "into French" in connected["session"]["instructions"]
    (notice,) = (line["notice"] for line in lines if "notice" in line)
    assert "has no model that translates" in notice


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--voice", "cedar"], "--voice is of a Realtime model"),
        (["--language", "de"], "--language is of a Realtime model"),
        (["--to", "Klingon"], "Klingon has no code"),
        (["--model", "gpt-realtime-2.1"], ""),
        (["--both", "--from", "German"], ""),
        (["--push-to-talk"], ""),
        (["--by-instructions"], ""),
        (["--token-url", "https://tokens.example"], ""),
    ],
)
def test_what_only_a_realtime_model_has_is_done_by_instructions(
    arguments: list[str], says: str
) -> None:
    options = parse(["translate", "--to", "French", *arguments])
    assert choose_way(options).startswith(says)
    assert options.by_instructions


@pytest.mark.parametrize(
    ("named", "code"),
    [("Spanish", "es"), ("es", "es"), ("pt-BR", "pt-BR"), ("DEUTSCH", "de"), (" Thai ", "th")],
)
def test_languages_are_named_in_words_or_by_code(named: str, code: str) -> None:
    options = parse(["translate", "--to", named])
    assert choose_way(options) == ""
    assert not options.by_instructions
    assert translator(options) == {"to": code}


@again_if_late
def test_an_interpreter_live_in_a_terminal(town: Town) -> None:
    url = ("--base-url", town.emulator.url)
    terminal = Terminal([*RTCVOICE, "translate", "--to", "Spanish", *STOP, *url])
    try:
        terminal.wait_for("connected in")
        terminal.wait_for("you .*Stop, please")
        terminal.wait_for("assistant .*This is a local emulator")
        terminal.type("?")
        terminal.wait_for("mute")
        assert "interrupt" not in terminal.seen
        terminal.type("q")
        terminal.wait_for("hung up")
        assert terminal.process.wait(30) == 0
    finally:
        terminal.close()


def test_writing_at_the_prompt(town: Town) -> None:
    terminal = Terminal([*RTCVOICE, "text", "--base-url", town.emulator.url])
    try:
        before = terminal.mode
        terminal.wait_for("> ")
        terminal.wait_for("Ctrl-D ends")
        terminal.type("/help\r")
        terminal.wait_for("/say TEXT sends")
        terminal.type("\x03")
        terminal.wait_for("Ctrl-C again ends")
        terminal.type("Tell me a lng\x1b[D\x1b[Do\x05 story\r")
        terminal.wait_for(r"you +.*Tell me a long story")
        terminal.wait_for("Your microphone")
        terminal.type("never sent\x03")
        terminal.wait_for(r" \.\.\.")  # cut off
        terminal.type("Hello\r")
        terminal.wait_for(r"you +.*Hello")
        terminal.wait_for(r"assistant.*\w\.")
        terminal.type("exit\r")
        terminal.wait_for(r"hung up; US\$ .*; answered in")
        assert terminal.process.wait(20) == 0
        assert terminal.mode == before
    finally:
        terminal.close()


def test_what_is_typed_before_the_prompt_is_there_is_sent_and_not_left_on_screen(
    town: Town,
) -> None:
    terminal = Terminal([*RTCVOICE, "text", "--base-url", town.emulator.url])
    try:
        before = terminal.mode
        terminal.wait_for("connecting")
        assert not terminal.mode[1] & termios.ECHO
        terminal.type("Hello early\r")
        terminal.wait_for("connected in")
        terminal.wait_for(r"you .*Hello early")
        terminal.type("\x04")
        terminal.wait_for("hung up")
        assert terminal.process.wait(20) == 0
        assert terminal.mode == before
    finally:
        terminal.close()


@again_if_late
def test_push_to_talk_by_two_presses(town: Town) -> None:
    program = [*RTCVOICE, "--push-to-talk", "--input", str(prompt_path("stop"))]
    terminal = Terminal([*program, "--base-url", town.emulator.url], columns=40)
    try:
        terminal.wait_for("space: talk")
        terminal.type(" ")
        terminal.wait_for("on the air")
        terminal.wait_for("0:01 you")
        terminal.type(" ")
        terminal.wait_for(r"Stop, please\.")
        terminal.wait_for("assistant")
        terminal.type("q")
        terminal.wait_for("hung up")
        assert terminal.process.wait(20) == 0
    finally:
        terminal.close()
