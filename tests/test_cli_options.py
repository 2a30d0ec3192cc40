"""What can be asked for: near misses, usual options from a file, completion, the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_cli_screen import a_call, final
from test_cli_terminal import RTCVOICE, Terminal

from rtcvoice import CallEnded, ConfigError, FileSink, LimitReached
from rtcvoice.cli import main
from rtcvoice.cli.approval import Person
from rtcvoice.cli.call_ends import chosen_ends
from rtcvoice.cli.completion import SHELLS, script
from rtcvoice.cli.demo_options import farewell
from rtcvoice.cli.known import VOICES
from rtcvoice.cli.notices import notice_of
from rtcvoice.cli.options import COMMANDS, all_parsers, parse, summaries
from rtcvoice.cli.output import as_options
from rtcvoice.cli.parser import meant
from rtcvoice.cli.session_options import session_from
from rtcvoice.cli.talk import _replaced, _session
from rtcvoice.cli.transcript_file import transcript_file
from rtcvoice.config.call_config import CallConfig
from rtcvoice.emulator.session.session_schema import _VOICES

TALK = list(all_parsers()["talk"].by_name)


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("--inptu", "--input"),
        ("--sped", "--speed"),
        ("--instuctions", "--instructions"),
        ("--mic", "--microphone"),
        ("--recrd", "--record"),
        ("--volume", ""),
        ("--colour", ""),
        ("--xyz", ""),
        ("-x", ""),
    ],
)
def test_only_what_is_near_is_suggested(typed: str, near: str) -> None:
    assert meant(typed, TALK) == (f"did you mean {near}?" if near else "")


def test_a_short_word_may_have_one_slip() -> None:
    assert meant("dmeo", ["demo"]) == "did you mean demo?"
    assert meant("dome", ["time", "demo"]) == ""


def test_help_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == main(["--help"]) == 0
    assert capsys.readouterr().out.count("commands (help COMMAND") == 2
    assert main(["help", "text"]) == 0
    assert "Chat in writing" in capsys.readouterr().out


def test_what_the_library_has_the_command_line_has(tmp_path: Path) -> None:
    told = tmp_path / "told.txt"
    told.write_text("Be brief.\n", "utf-8")
    options = parse(
        [
            *("--speed", "1.2", "--language", "de", "--turn-detection", "semantic_vad"),
            *("--noise-reduction", "none", "--instructions-file", str(told)),
        ]
    )
    payload = CallConfig.from_options(session_from(options)).session_payload()
    assert payload["instructions"] == "Be brief."
    assert payload["audio"]["output"] == {"speed": 1.2}
    assert payload["audio"]["input"]["turn_detection"] == {"type": "semantic_vad"}
    assert payload["audio"]["input"]["noise_reduction"] is None
    assert payload["audio"]["input"]["transcription"]["language"] == "de"
    assert payload["audio"]["input"]["transcription"]["model"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--speed", "3"], "between 0.25 and 1.5"),
        (["--instructions-file", "missing.txt"], "there is no such file"),
        (["--instructions", "a", "--instructions-file", "b"], "not allowed with"),
        (["--push-to-talk", "--turn-detection", "server_vad"], "not allowed with"),
        (["--live", "--emulator"], "--live works only with --input -"),
        (["--live", "--input", "q.wav"], "--live works only with --input -"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], says: str) -> None:
    def asked() -> None:
        options = parse(arguments)
        session_from(options)
        options.input = options.input or "question.wav"  # as the emulator's user does
        chosen_ends(options, ExitStack())

    with pytest.raises(ConfigError, match=re.escape(says)):
        asked()


def test_a_limit_that_is_reached_says_what_happens_to_the_words() -> None:
    told = notice_of(LimitReached(limit="seconds", used=4.0, maximum=4.0))
    assert told == "the limit of 4 s was reached; what is being said is finished first"


# ---- the file of usual options


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The place of the file, in a folder of the user's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "rtcvoice").mkdir()
    return tmp_path / "rtcvoice" / "config.toml"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text, "utf-8")
    file.chmod(mode)


def test_usual_options_hold_unless_others_are_typed(usual: Path) -> None:
    write(
        usual,
        'voice = "cedar"\nheadphones = true\nlimit-cost = 1\nice-server = ["stun:a", "stun:b"]\n'
        'to = "French"\nrelay = true\n[text]\nlimit-cost = 0.5\n',
    )
    talk = parse([])
    assert (talk.voice, talk.headphones, talk.limit_cost) == ("cedar", True, 1.0)
    assert (talk.ice_servers, talk.ice_transport_policy) == (["stun:a", "stun:b"], "relay")
    assert parse(["--voice", "ash"]).voice == "ash"
    assert parse(["text"]).limit_cost == 0.5
    assert parse(["translate"]).to == "French"
    assert parse(["--config", "none"]).voice is None


@pytest.mark.parametrize(("given", "idle"), [("60", 60.0), ("0", None)])
def test_how_long_a_silence_may_be(given: str, idle: float | None) -> None:
    limits = session_from(parse(["--idle", given, "--limit-cost", "1"]))["limits"]
    assert (limits.idle, limits.cost) == (idle, 1.0)
    assert session_from(parse(["--limit-cost", "1"]))["limits"].idle == "default"


def test_push_to_talk_leaves_gpt_live_its_own_way() -> None:
    live = parse(["--push-to-talk", "--model", "gpt-live-1.1"])
    assert _session(parse(["--push-to-talk"]), Person())["turn_detection"] is None
    assert "turn_detection" not in _session(live, Person())


def test_a_text_without_words_makes_no_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--text", " ", "--emulator"]) == 2
    assert "argument --text: there is nothing to send" in capsys.readouterr().err


def test_a_tool_file_that_fails_is_told_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    for source in ("a = 1\nimport nowhere_at_all\n", "\ndef x(:\n"):
        file.write_text(source)
        assert main(["--text", "Hi", "--emulator", "--tools", str(file)]) == 2
        assert "look at line 2 of it" in capsys.readouterr().err


def test_hints_speak_of_options() -> None:
    hint = "model='gpt-live-1.1'; for a deployment of it, api='live'"
    assert as_options(hint).startswith("--model gpt-live-1.1; ")
    hint = "the bad network of network= may be why: raise connect_timeout=, or make it better"
    told = "the bad network of --network may be why: raise --connect-timeout, or make it better"
    assert as_options(hint) == told
    assert as_options("say in instructions= what; leave transport= out") == (
        "say in --instructions what; leave --transport out"
    )
    assert as_options("McpServer(start_timeout=)") == "McpServer(start_timeout=)"


def test_a_usual_device_opens_none_by_itself(usual: Path) -> None:
    """A call in writing or from a file stays one; of two that exclude each other, the typed one."""
    write(usual, 'microphone = "USB"\nspeaker = 3\nbase-url = "https://a.example"\n')
    options = parse(["--text", "Hi", "--emulator"])
    assert (options.microphone, options.usual_microphone, options.usual_speaker) == (
        *(None, "USB", "3"),
    )
    assert options.base_url is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('vioce = "cedar"', "did you mean voice?"),
        ('[text]\nvoice = "cedar"', "[text]: there is no option 'voice'"),
        ('[txet]\nmodel = "x"', "did you mean text?"),
        ('api_key = "sk-1"', "a key has no place here"),
        ('speed = "fast"', "speed: "),
        ("headphones = 1", "is a switch"),
        ("voice = []", "neither text nor a number"),
        ('turn-detection = "never"', "one of server_vad, semantic_vad"),
        ("voice = ", "is not TOML"),
        ("text = 3", "is a table"),
        ("config = 'x'", "there is no option 'config'"),
        ("a = " + "[" * 5000, "is not TOML"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(usual: Path, text: str, says: str) -> None:
    write(usual, text)
    with pytest.raises(ConfigError) as caught:
        parse(["text"] if "text" in text else [])
    assert says in f"{caught.value.message}; {caught.value.hint}"
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mode", "cure"),
    [
        ('voice = "cedar"', 0o620, "chmod go-w"),
        ('voice = "cedar"', 0o602, "chmod go-w"),
        ('proxy = "http://user:word@proxy"', 0o644, "chmod 600"),
        ('[talk]\nice-server = ["turn:u:p@h"]', 0o640, "chmod 600"),
    ],
)
def test_a_file_that_others_can_change_or_read_is_refused(
    usual: Path, text: str, mode: int, cure: str
) -> None:
    write(usual, text, mode)
    with pytest.raises(ConfigError) as caught:
        parse([])
    assert cure in str(caught.value.hint)


def test_the_working_directory_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (".", "rtcvoice", ".config/rtcvoice"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in ("config.toml", "rtcvoice.toml"):
            write(tmp_path / folder / name, 'base-url = "https://evil.example"')
    monkeypatch.setenv("HOME", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", ".")
    assert parse([]).base_url is None


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        parse(["--config", str(tmp_path / "missing.toml")])


# ---- completion


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["rtcvoice", "tra"], ["translate"]),
        (["rtcvoice", "--inst"], ["--instructions", "--instructions-file"]),
        (["rtcvoice", "translate", "--fr"], ["--from"]),
        (["rtcvoice", "text", "--fr"], []),
        (["rtcvoice", "--tools", "demo", "--turn-d"], ["--turn-detection"]),
        (["rtcvoice", "--turn-detection", ""], ["server_vad", "semantic_vad"]),
        (["rtcvoice", "-v", "completion", "f"], ["fish"]),
        (["rtcvoice", "help", "dev"], ["devices"]),
    ],
)
def test_bash_completes(tmp_path: Path, typed: list[str], found: list[str]) -> None:
    words = " ".join(f"'{word}'" for word in typed)
    asked = (
        f"{script('bash', all_parsers(), summaries())}\n"
        f"COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _rtcvoice\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc"], input=asked, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stderr == ""
    assert done.stdout.split() == found


def test_every_shell_learns_every_option() -> None:
    for shell in SHELLS:
        told = script(shell, all_parsers(), summaries())
        for parser in all_parsers().values():
            for action in parser.shown:
                for name in action.option_strings:
                    assert name.lstrip("-") in told, (shell, name)


# ---- what is listed


def test_voices_and_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(VOICES) == sorted(_VOICES)
    assert main(["voices"]) == main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "marin" in shown
    assert "  * gpt-realtime-2.1 " in shown
    assert re.search(r"gpt-realtime +32, 64 +end(s|ed) on 2027-01-20", shown)


# ---- what is kept


def test_a_transcript_is_added_to_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    path.write_text("from yesterday\n", "utf-8")
    with transcript_file(str(path)) as (screen,):
        screen.connected(a_call())
        screen.turn(final("a", "user", "Grüße\n\x1b[2J", began=screen._began + 2))  # type: ignore[attr-defined]
        lines = path.read_text("utf-8").splitlines()
        assert lines[0] == "from yesterday"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  you        Grüße \[2J", lines[2])
    summary: Any = SimpleNamespace(line=lambda parts, width: "; ".join(parts))
    with transcript_file(str(path)) as (screen,):
        screen.ended(CallEnded("hung up", normal=True), "", summary)
    assert path.read_text("utf-8").endswith("call       hung up\n")


def test_a_recording_that_is_there_is_not_replaced_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert _replaced(FileSink(path)) == ""
    path.write_bytes(b"RIFF")
    assert "was there already" in _replaced(FileSink(path))
    assert _replaced(None) == ""


# ---- the demo


def test_the_demo_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    farewell(Path("answer.wav"))
    shown = capsys.readouterr().out
    assert "answer.wav" in shown.splitlines()[0]
    for command in re.findall(r"^  \S+ (\S.*)$", shown, re.M):
        assert command.removeprefix("-m rtcvoice").split()[0] in COMMANDS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--output", "none"], "Nothing is charged"),
        (["translate", "--to", "French", "--emulator"], "It cannot translate"),
        (["--emulator", "--input", "none"], "not an AI"),
        (["text", "--emulator"], "costs nothing"),
    ],
)
def test_what_the_emulator_cannot_do_is_said(arguments: list[str], says: str) -> None:
    terminal = Terminal([*RTCVOICE, *arguments], columns=120)
    try:
        terminal.wait_for(says)
    finally:
        terminal.close()
