"""Recorded calls are done again: the same words at the same moments, and nothing else of them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from live import BentEmulator, again_if_late, calling, until_given_up

import rtcvoice
from rtcvoice import ReplaySource
from rtcvoice.cli import main
from rtcvoice.cli import replay as replay_command
from rtcvoice.emulator import Strike, Turn
from rtcvoice.emulator.voice import prompt_path
from rtcvoice.recording.acts import ActKind
from rtcvoice.recording.compared import Course, ReplayResult
from rtcvoice.recording.given_tools import GivenTools, ToolRun
from rtcvoice.recording.marks import READY, Mark, MarkKind
from rtcvoice.recording.reading import EventLine
from rtcvoice.recording.user_acts import acts_of

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def heard(time, kind, **fields):
    return EventLine(time, "in", {"type": kind, **fields}, "", "")


def sent(time, kind, **fields):
    return EventLine(time, "out", {"type": kind, **fields}, "", "")


def created(time, response_id):
    return heard(time, "response.created", response={"id": response_id, "object": "r"})


def done(time, response_id):
    return heard(time, "response.done", response={"id": response_id, "object": "r"})


def playing(time, what, response_id):
    return heard(time, f"output_audio_buffer.{what}", response_id=response_id)


def written(time, text):
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return sent(time, "conversation.item.create", item=item)


def asked(time, text):
    return [written(time, text), sent(time, "response.create")]


SESSION = heard(1.0, "session.created", session={"type": "realtime"})

CALL = [
    SESSION,
    heard(2.0, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_1"),
    heard(4.0, "input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="item_1"),
    created(4.1, "resp_1"),
    playing(5.0, "started", "resp_1"),
    done(5.5, "resp_1"),
    heard(7.0, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_2"),
    playing(7.1, "cleared", "resp_1"),
    heard(8.0, "input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="item_2"),
    created(8.1, "resp_2"),
    playing(9.0, "started", "resp_2"),
    done(9.2, "resp_2"),
    playing(12.0, "stopped", "resp_2"),
    written(13.5, "And in Rome?"),
    sent(13.5, "response.create"),
    sent(20.0, "response.create"),
]


def test_acts_are_bound_to_what_was_heard_before_them():
    acts, *_ = acts_of(CALL)
    assert [(act.kind, round(act.begin, 2), act.mark, round(act.delay, 2)) for act in acts] == [
        (ActKind.SPEAKS, 1.4, READY, 0.4),
        (ActKind.SPEAKS, 6.4, Mark(MarkKind.BEGAN, 0), 1.4),  # an interruption
        (ActKind.WRITES, 13.5, Mark(MarkKind.ENDED, 1), 1.5),
        (ActKind.ASKS, 20.0, Mark(MarkKind.ACTED, 2), 6.5),
    ]
    assert acts[2].text == "And in Rome?"


def test_what_follows_a_tool_is_not_the_users_doing():
    item = {"type": "function_call_output", "call_id": "c", "output": "{}"}
    output = sent(2.0, "conversation.item.create", item=item)
    assert acts_of([SESSION, output, sent(2.1, "response.create")])[0] == []


def test_push_to_talk_is_done_again():
    lines = [
        SESSION,
        sent(4.0, "input_audio_buffer.commit"),
        sent(4.1, "response.create"),
        sent(6.0, "input_audio_buffer.commit"),
    ]
    acts, *_ = acts_of(lines)
    assert [(act.kind, act.begin, act.end, act.answered) for act in acts] == [
        (ActKind.SPEAKS, 1.0, 4.0, False),
        (ActKind.COMMITS, 4.0, 4.0, True),
        (ActKind.SPEAKS, 4.0, 6.0, False),
        (ActKind.COMMITS, 6.0, 6.0, False),
    ]


def test_another_connection_says_nothing_twice():
    line = written(2.0, "Hello.")
    assert len(acts_of([SESSION, line])[0]) == 1
    assert acts_of([SESSION, line._replace(leg="rtc_2")])[0] == []


HOSTILE = [
    heard(1.0, "session.created"),
    heard(1.0, "output_audio_buffer.started"),
    heard(1.0, "response.done", response=5),
    sent(1.0, "conversation.item.create", item={"type": "message", "role": "user"}),
    sent(1.0, "conversation.item.create", item={"type": "message", "role": "user", "content": 5}),
    sent(1.0, "session.update", session={"tools": "x"}),
    heard(1.0, "\x1b[31m"),
    EventLine(1.0, "in", {}, "nonsense", ""),
    EventLine(1.0, "out", {"type": 7}, "", ""),
]


def test_nonsense_is_nothing_that_the_user_did():
    assert acts_of(HOSTILE)[0] == []


async def test_tools_give_back_what_was_recorded():
    definitions = [
        {"type": "function", "name": "weather", "description": "d", "parameters": {}},
        {"type": "mcp", "server_url": "https://example.com", "authorization": "x"},
        {"type": "function", "name": "../x"},
        {"type": "function", "name": "weather"},
        {"type": "function", "name": "y", "parameters": "z"},
        5,
    ]
    runs = [
        ToolRun(name="weather", arguments='{"city": "Rome"}', output="warm", seconds=0.0),
        ToolRun(name="weather", arguments='{"city": "Oslo"}', output="cold", seconds=0.0),
        ToolRun(name="weather", arguments="{}", output="fog", seconds=0.0),
    ]
    tools = GivenTools(definitions, runs)
    kept = {"type": "function", "name": "weather", "description": "d"}
    assert tools.definitions == [kept]
    tool = tools.get("weather")
    asked = ['{"city": "Oslo"}', '{"city": "Bonn"}', "nonsense", '{"city": "Nome"}']
    given = [await tool.function(**tool.signature.bind(each).kwargs) for each in asked]
    assert given == ["cold", "warm", "fog", "fog"]
    with pytest.raises(LookupError):
        await GivenTools(definitions, []).get("weather").function()


def test_two_calls_are_compared():
    then, now = Course(), Course()
    then.turn("user", "What time is it?", "completed")
    now.turn("user", "what time is it", "completed")
    then.turn("assistant", "It is noon.", "completed")
    now.turn("assistant", "It is noon.", "interrupted")
    then.tools, now.tools = ["clock({})"], []
    then.waits, now.waits = [1.0, 2.0], [1.2, 4.0]
    result = ReplayResult(then, now)
    assert result.differences == [
        "turn 2: assistant: It is noon. -> assistant: It is noon. (interrupted)",
        "tool 1: clock({}) -> -",
        "wait 2: 2.00 s -> 4.00 s",
    ]
    assert not result.same_turns
    assert str(result).startswith("= turn 1   recorded  user: What time is it?")
    assert ReplayResult(then, then).differences == []


def recording(folder, session, *lines):
    folder.mkdir()
    call = {"format": 1, "made_by": "rtcvoice", "options": {"session": session}}
    (folder / "call.json").write_text(json.dumps(call))
    dicts = [{"time": each.time, "dir": each.direction, "event": each.event} for each in lines]
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in dicts))
    return folder


def test_only_plain_settings_of_the_session_are_taken(tmp_path):
    session = {
        "type": "realtime",
        "model": "gpt-realtime-2.1",
        "instructions": "Be brief.",
        "max_output_tokens": True,
        "prompt": {"id": "x"},
        "tracing": {"group_id": "x"},
        "output_modalities": ["video"],
        "include": ["x"],
        "audio": {
            "input": {
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "x": {"y": 1}},
                "noise_reduction": None,
                "transcription": "x",
            },
            "output": {"voice": {"id": "x"}, "speed": "fast"},
        },
        "tools": [{"type": "mcp", "server_url": "https://example.com"}],
    }
    options = ReplaySource(recording(tmp_path / "a", session)).options
    assert options.pop("tools").definitions == []
    assert options == {
        "model": "gpt-realtime-2.1",
        "instructions": "Be brief.",
        "turn_detection": {"type": "server_vad", "threshold": 0.5},
        "noise_reduction": None,
        "transcription": {},
    }
    odd = {"base_url": "https://evil.example", "api_key": "sk-evil", "session": 5, "audio": 5}
    assert list(ReplaySource(recording(tmp_path / "b", odd)).options) == ["tools"]


async def test_a_written_call_is_replayed_on_the_emulator_with_the_same_turns(tmp_path):
    def clock(zone: str) -> str:
        return f"noon in {zone}"

    script = [
        Turn(calls=[{"clock": {"zone": "Rome"}}], then=Turn(says="It is noon.")),
        Turn(says="You are welcome."),
    ]
    async with (
        BentEmulator(script=script, audio="instant", record=tmp_path / "server") as server,
        calling(server, tools=[clock], record=tmp_path / "client") as call,
    ):
        for text in ("What time is it in Rome?", "Thank you."):
            reply = await call.ask(text)
            await reply.played()
    for side in ("client", "server"):
        (folder,) = (tmp_path / side).iterdir()
        source = ReplaySource(folder)
        async with (
            BentEmulator(script=script, audio="instant") as server,
            calling(server, source=source, **source.options) as call,
        ):
            result = await source.replay(call)
        assert result.differences == [], str(result)
        assert [turn.role for turn in result.now.turns] == ["user", "assistant"] * 2
        assert result.now.tools == ['clock({"zone": "Rome"})']
        outputs = [each for each in call.history if each["type"] == "function_call_output"]
        assert outputs[0]["output"] == "noon in Rome"


@again_if_late
async def test_a_spoken_call_is_replayed_on_the_emulator_with_the_same_turns(tmp_path, monkeypatch):
    monkeypatch.setattr("rtcvoice.recording.replay.QUIET_AFTER_SPEECH", 0.5)
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, source=rtcvoice.FileSource(prompt_path("stop")), record=tmp_path) as call,
    ):
        await call.wait_for("response.done", timeout=15)
    source = ReplaySource(max(tmp_path.iterdir(), key=os.path.getctime))
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, source=source, **source.options) as call,
    ):
        result = await source.replay(call)
    assert result.same_turns, str(result)
    assert len(result.now.turns) == 2
    assert result.now.turns[0].text


async def test_what_does_not_come_is_not_waited_for_for_ever(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("rtcvoice.recording.replay.PATIENCE", 0.05)
    lines = [SESSION, created(1.0, "resp_1"), done(1.0, "resp_1"), *asked(1.1, "Hello?")]
    source = ReplaySource(recording(tmp_path / "a", {"type": "realtime"}, *lines))
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, source=source, **source.options) as call,
    ):
        result = await source.replay(call)
    assert "does not come" in caplog.text
    assert result.now.turns[0].text == "Hello?"


def test_a_recording_without_audio_says_nothing_aloud(tmp_path):
    source = ReplaySource(recording(tmp_path / "a", {}, *CALL))
    assert not np.any(source._next(480))


def test_from_the_command_line_a_replay_shows_what_differs(tmp_path, capsys):
    hello = [SESSION, written(1.1, "Hello?"), sent(1.1, "response.create")]
    folder = recording(tmp_path / "a", {"type": "realtime", "output_modalities": ["text"]}, *hello)
    script = tmp_path / "script.yaml"
    script.write_text("turns:\n  - says: Good day.\n")
    turns = [("user", "Hello?"), ("assistant", "Good day.")]
    for wanted, last in ((0, "Good day."), (8, "Good night.")):
        turns[1] = ("assistant", last)
        (folder / "turns.jsonl").write_text(
            "".join(
                json.dumps(
                    {"time": 1, "turn": {"id": r, "role": r, "text": t, "status": "completed"}}
                )
                + "\n"
                for r, t in turns
            )
        )
        code = main(["replay", str(folder), "--emulator", "--script", str(script)])
        shown = capsys.readouterr().out
        assert code == wanted, shown
        assert "= turn 1   recorded  user: Hello?" in shown
    assert "! turn 2   recorded  assistant: Good night." in shown
    assert main(["replay", str(tmp_path), "--emulator"]) == 2
    assert "no recorded call" in capsys.readouterr().err


async def test_a_call_that_was_reconnected_is_one_recording_in_which_nothing_is_said_twice(
    tmp_path,
):
    async with BentEmulator(audio="instant") as server:
        async with calling(server, record=tmp_path, reconnect=rtcvoice.Reconnect()) as call:
            await (await call.ask("Hello!")).played()
            async with call.expect("rtcvoice.reconnected", timeout=30) as reconnected:
                server.last().strike(Strike.FREEZE)
                await until_given_up(call)
                await reconnected
            await (await call.ask("Again.")).played()
        await server.end_calls()
    (folder,) = tmp_path.iterdir()
    source = ReplaySource(folder)
    assert [act.text for act in source._acts if act.text] == ["Hello!", "Again."]
    assert [turn.role for turn in source.recorded.turns] == ["user", "assistant"] * 2
    legs = json.loads((folder / "call.json").read_text())["legs"]
    assert [leg["ended"] is None for leg in legs] == [False, True]


def test_turns_that_only_one_call_has_do_not_shift_the_others():
    then, now = Course(), Course()
    for text in ("One.", "Two.", "Three."):
        then.turn("user", text, "completed")
        if text != "Two.":
            now.turn("user", text, "completed")
    result = ReplayResult(then, now)
    assert result.differences == ["turn 2: user: Two. -> -"]
    assert [pair.same for pair in result.pairs] == [True, False, True]


def test_of_answers_that_were_cut_the_shorter_one_decides():
    then, now = Course(), Course()
    then.turn("assistant", "There was once a man", "interrupted")
    now.turn("assistant", "There was once a man who", "interrupted")
    assert ReplayResult(then, now).same_turns
    now.turns[0] = now.turns[0]._replace(status="completed")
    assert not ReplayResult(then, now).same_turns


@pytest.mark.parametrize("kind", ["terminal", "json"])
def test_both_calls_are_shown_beside_each_other(kind, capsys, monkeypatch):
    then, now = Course(), Course()
    then.turn("user", "What time is it?", "completed")
    now.turn("user", "What time is it?", "completed")
    then.turn("assistant", "It is [bold]noon[/bold].", "completed")
    then.tools = now.tools = ["clock({})"]
    then.waits, now.waits = [1.0], [3.0]
    result = ReplayResult(then, now, ("an image: the call was recorded without",))
    if kind == "json":
        replay_command._show_json(result)
        *pairs, left_out, verdict = map(json.loads, capsys.readouterr().out.splitlines())
        assert [(each["what"], each["same"]) for each in pairs] == [
            ("turn", True),
            ("turn", False),
            ("tool", True),
            ("wait", False),
        ]
        assert left_out["what"] == "left out"
        assert verdict["same"] is False
    else:
        monkeypatch.setenv("COLUMNS", "90")
        replay_command._show_table(result)
        shown = capsys.readouterr().out
        assert "= turn 1   user: What time is it?" in shown
        assert "! turn 2   assistant: It is [bold]noon[/bold]." in shown
        assert "left out: an image" in shown
    text = replay_command._verdict(result)
    assert text.startswith("2 turns recorded: 1 of 3 turns and tools differ; waits that differ")
