"""A recorded call as one page: what stands on it, whatever is in the recording or is missing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import BentEmulator, calling

import rtcvoice
from rtcvoice.cli import main
from rtcvoice.errors import ConfigError
from rtcvoice.recording.format import CallFolder
from rtcvoice.recording.options import remove_old
from rtcvoice.recording.reading import EventLine, RecordedCall
from rtcvoice.recording.report import document as documents
from rtcvoice.recording.report import event_table, gathered
from rtcvoice.recording.report import said as saying
from rtcvoice.recording.report.document import BEGINNING, embedded
from rtcvoice.recording.report.event_table import EventTable
from rtcvoice.recording.report.flow import Flow, ToolSpan
from rtcvoice.recording.report.gathered import gather
from rtcvoice.recording.report.network import Network
from rtcvoice.recording.report.said import said_in
from rtcvoice.recording.report.sound import Peaks
from rtcvoice.recording.report.waits import PARTS, Wait, parts_of

pytestmark = pytest.mark.usefixtures("no_stray_errors")

RATE = 24000
EVIL = "</script><img src=x onerror=alert(1)><!-- \u2028\u2029\u202e ]]>"


def heard(time, kind, **fields):
    return {"time": time, "dir": "in", "event": {"type": kind, **fields}}


def sent(time, kind, **fields):
    return {"time": time, "dir": "out", "event": {"type": kind, **fields}}


def told(time, kind, **fields):
    return {"time": time, "dir": "local", "event": {"type": f"rtcvoice.{kind}", **fields}}


def turn(time, name, role, text, **fields):
    usual = {"status": "completed", "spoken": True, "heard_ms": None, "heard_text": text}
    usual |= {"reason": "", "response_id": "", "began": time - 1, "final": True}
    return {"time": time, "turn": {"id": name, "role": role, "text": text, **usual, **fields}}


def stats(time, **playout):
    return {
        "time": time,
        "stats": {"playout": playout, "uplink": {"fraction_lost": 0.25}, "round_trip_time": 0.05},
        "usage": {"model": "m", "responses": 1, "tokens": {"input_audio": 10}, "known_cost": 0.5},
    }


CALL = {"format": 1, "made_by": "rtcvoice", "began_at": 1796000000.0, "end": {"time": 8.0}}

EVENTS = [
    heard(0.1, "session.created", session={"type": "realtime", "model": EVIL}),
    heard(1.0, "input_audio_buffer.speech_started", audio_start_ms=700, item_id="u"),
    heard(2.0, "input_audio_buffer.speech_stopped", audio_end_ms=1700, item_id="u"),
    heard(
        2.1,
        "response.output_item.done",
        response_id="r",
        item={"type": "function_call", "name": EVIL, "arguments": EVIL, "call_id": "c"},
    ),
    told(2.2, "tool_started", call_id="c", name=EVIL, arguments={"a": EVIL}),
    told(2.5, "tool_finished", call_id="c", name=EVIL, output=EVIL, seconds=0.3),
    heard(2.9, "output_audio_buffer.started", response_id="r2"),
    heard(5.0, "output_audio_buffer.cleared", response_id="r2"),
    told(6.0, "reconnecting", reason=EVIL, attempt=2),
]
TURNS = [
    turn(2.3, "u", "user", EVIL),
    {
        "time": 3.0,
        "latency": {
            "item_id": "u",
            "response_id": "r2",
            "ended_at": 1.5,
            "noticed_at": 2.0,
            "heard_at": 3.0,
        },
    },
    turn(
        5.2,
        "a",
        "assistant",
        EVIL,
        response_id="r2",
        status="interrupted",
        heard_text="so far",
        heard_ms=2000,
    ),
]
STATS = [
    stats(1.0, packets_received=50, packets_lost=0),
    stats(2.0, packets_received=90, packets_lost=10, packets_recovered=4),
]


def recording(
    folder, *, call=CALL, events=EVENTS, turns=TURNS, seconds_of_stats=STATS, audio=1.0, rate=RATE
):
    """Make a recorded call, of what is not None."""
    place = CallFolder(folder.parent, folder.name)
    if call is not None:
        place.write_call(call)
    named = {"events": events, "turns": turns, "stats": seconds_of_stats}
    for name, values in named.items():
        if values is not None:
            lines = place.lines(f"{name}.jsonl")
            for value in values:
                lines.write(value)
            lines.flush()
            lines.close()
    if audio is not None:
        wave = place.wave("audio.wav", rate=rate)
        frames = np.zeros((round(audio * rate), 2), "<i2")
        frames[: len(frames) // 2, 0] = 10_000
        wave.write(frames.tobytes())
        wave.close()
    place.close()
    return place.path


def facts_of(folder):
    problems = []
    return gather(RecordedCall(folder, problems=problems), problems).facts


class Parsed(HTMLParser):
    """The elements of a page as a browser sees them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.data, self.attributes, self._id = [], {}, [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._id = dict(attrs).get("id") or tag

    def handle_data(self, data):
        self.data[self._id] = self.data.get(self._id, "") + data


# -- the parts ------------------------------------------------------------------------------------


def test_waveforms_tell_the_loudest_sample_of_each_hundredth_of_a_second():
    peaks = Peaks(RATE)
    frames = np.zeros((RATE, 2), np.int16)
    frames[300, 0] = -32768  # in the second value
    frames[-1, 1] = 8192  # in the last one
    for part in (frames[:7], frames[7:1000], frames[1000:], frames[:100]):
        peaks.put(part)
    (level,) = peaks.levels()
    user, assistant = (
        np.frombuffer(base64.b64decode(level[each]), np.int8) for each in ("user", "assistant")
    )
    assert level["seconds"] == 0.01
    assert len(user) == len(assistant) == 101
    assert (np.flatnonzero(user).tolist(), user[1]) == ([1], 127)
    assert (np.flatnonzero(assistant).tolist(), assistant[99]) == ([99], 64)


def test_waveforms_of_long_calls_are_there_in_several_resolutions():
    peaks = Peaks(8000)
    frames = np.zeros((8000, 2), np.int16)
    frames[5, 1] = 32767
    for _ in range(60):
        peaks.put(frames)
    levels = peaks.levels()
    assert [round(each["seconds"], 3) for each in levels] == [0.01, 0.08, 0.64]
    values = np.frombuffer(base64.b64decode(levels[-1]["assistant"]), np.int8)
    assert (len(values), values.max()) == (94, 127)


def test_what_is_embedded_cannot_end_its_element():
    assert json.loads(embedded({EVIL: [EVIL]})) == {EVIL: [EVIL]}
    assert re.search(r"[<>&\u2028\u2029\u202e]", embedded(EVIL)) is None
    assert embedded("\ud800").isascii()


def test_a_wait_is_told_in_its_parts():
    tools = [ToolSpan("t", "", 2.1, 2.3), ToolSpan("t", "", 2.2, 2.4), ToolSpan("t", "", 9.0)]
    wait = Wait("u", "r", 1.5, 2.0, 3.0)
    parts = parts_of(wait, started=2.9, round_trip=0.05, tools=tools)
    rounded = {name: round(value, 3) for name, value in parts.items()}
    assert rounded == {
        "detection": 0.45,
        "network": 0.05,
        "server": 0.6,
        "tools": 0.3,
        "playout": 0.1,
    }


def test_the_network_of_a_turn_that_was_ended_by_hand_comes_after_its_end():
    parts = parts_of(Wait("", "r", 2.0, 2.0, 3.0), started=2.5, round_trip=0.1)
    assert [round(parts[name], 3) for name in PARTS] == [0.0, 0.1, 0.4, 0.0, 0.5]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 100), min_size=3, max_size=3).map(sorted),
    st.none() | st.floats(-10, 200),
    st.floats(-1, 200),
    st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(0, 100)), max_size=5),
)
def test_the_parts_add_up_and_none_is_negative(moments, started, round_trip, runs):
    tools = [ToolSpan("t", "", *run) for run in runs]
    parts = parts_of(Wait("", "", *moments), started=started, round_trip=round_trip, tools=tools)
    assert sum(parts.values()) == pytest.approx(moments[2] - moments[0], abs=1e-6)
    assert min(parts.values()) >= -1e-9


def test_figures_of_a_second_are_what_two_lines_differ_by():
    network = Network()
    for line in [*STATS, {"time": 3.0, "stats": {"playout": {"packets_lost": "many"}}}]:
        network.feed(line)
    columns = network.columns()
    assert columns["time"] == [1.0, 2.0, 3.0]
    assert columns["loss"] == [0.0, 20.0, None]
    assert columns["recovered"] == [None, 4.0, None]
    assert columns["up_loss"] == [25.0, 25.0, None]
    assert columns["cost"] == [0.5] * 3
    assert network.round_trips() == [(1.0, 0.05), (2.0, 0.05)]


def test_a_bad_network_on_purpose_is_told_with_what_it_lost():
    network = Network()
    done = {"asked": "loss=0.1, seed=3", "uplink": {"lost": 12}, "downlink": {"lost": "many"}}
    network.feed({"time": 1.0, "stats": {"transport": {"network": done}}})
    assert network.totals() == [
        ("lost by the bad network, uplink", "12"),
        ("bad network that was asked for", "loss=0.1, seed=3"),
    ]
    network.feed({"time": 2.0, "stats": {"transport": {"network": None}}})
    assert network.totals() == []


def test_a_turn_stands_where_it_was_heard():
    flow = Flow()
    for line in EVENTS:
        event = EventLine(line["time"], line["dir"], line["event"], "", "")
        flow.feed(event, rtcvoice.events.decode(json.dumps(line["event"])))
    (user, _, assistant) = TURNS
    said = said_in(user["turn"], user["time"], flow)
    assert (said["begin"], said["end"], said["cut"]) == (1.0, 2.0, False)
    said = said_in(assistant["turn"], assistant["time"], flow)
    assert (said["begin"], said["end"], said["cut"]) == (2.9, 5.0, True)
    written = {"role": "user", "spoken": False, "began": 7.0}
    assert said_in(written, 9.0, flow)["end"] == 7.3


def test_the_list_of_events_is_bounded(monkeypatch):
    monkeypatch.setattr(event_table, "MOST_ROWS", 3)
    monkeypatch.setattr(event_table, "MOST_EVENT", 200)
    table = EventTable()
    for _ in range(5):
        table.add(EventLine(1.0, "in", {"type": "x", "text": "y" * 1000}, "", "leg"))
    assert (len(table.rows), table.left_out, table.cut) == (3, 2, 3)
    assert all(len(row[-1]) < 300 for row in table.rows)
    assert table.as_json()["names"] == ["", "?", "x", "leg"]


def test_very_long_words_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "MOST_WORDS", 3000)
    turns = [turn(1.0, f"t{n}", "user", "x" * 1000) for n in range(5)]
    texts = [each["text"] for each in facts_of(recording(tmp_path / "a", turns=turns))["turns"]]
    assert [len(each) for each in texts][:2] == [1000, 1000]
    assert all(len(each) < 300 for each in texts[2:])


def test_turns_for_which_there_is_no_room_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(saying, "MOST", 3)
    turns = [turn(1.0, f"t{n % 5}", "user", "x") for n in range(10)]
    facts = facts_of(recording(tmp_path / "a", turns=turns, audio=None))
    assert len(facts["turns"]) == 3
    assert "4 turns are not shown: there are too many." in facts["notes"]


# -- the page -------------------------------------------------------------------------------------


def test_nothing_in_a_recording_is_markup(tmp_path):
    folder = recording(tmp_path / "call")
    harmless = recording(tmp_path / "other", events=[], turns=[])
    pages = [rtcvoice.report(each).read_text("ascii") for each in (folder, harmless)]
    parsed, expected = map(Parsed, pages)
    assert parsed.tags == expected.tags
    assert parsed.attributes == expected.attributes
    assert "img" not in parsed.tags
    shown = "</script><img src=x onerror=alert(1)><!--"
    facts = json.loads(parsed.data["facts"])
    assert all(each["text"].startswith(shown) for each in facts["turns"])
    (tool,) = facts["tools"]
    assert all(shown in tool[name] for name in ("name", "arguments", "output"))
    assert "\u202e" not in str(facts)
    rows = json.loads(parsed.data["events"])["rows"]
    assert len(rows) == len(EVENTS)
    assert sum(shown in row[-1] for row in rows) == 5


def test_the_page_allows_nothing_but_its_own_script_and_style(tmp_path):
    page = rtcvoice.report(recording(tmp_path / "call")).read_text("ascii")
    policy = re.search(r'Policy" content="([^"]*)"', page)[1]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["media-src"] == "blob:"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert allowed[name] == f"'sha256-{digest}'"


def test_the_script_makes_text_and_never_markup():
    script = documents._script()
    markup = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|https?:"
    assert re.search(markup, script) is None
    assert "</" not in script
    assert "<!--" not in script


@pytest.mark.parametrize(
    ("call", "free"),
    [(CALL, False), ({**CALL, "emulator": True}, True), ({"made_by": "rtcvoice emulator"}, True)],
)
def test_a_call_with_the_emulator_was_free(tmp_path, call, free):
    assert facts_of(recording(tmp_path / "call", call=call))["usage"]["free"] is free


def test_what_happened_stands_on_the_page(tmp_path):
    facts = facts_of(recording(tmp_path / "call"))
    assert [(each["role"], each["begin"], each["cut"]) for each in facts["turns"]] == [
        ("user", 1.0, False),
        ("assistant", 2.9, True),
    ]
    (tool,) = facts["tools"]
    assert (tool["begin"], tool["end"], tool["failed"]) == (2.2, 2.5, False)
    (wait,) = facts["waits"]
    assert (wait["total"], wait["parts"]) == (1.5, [0.45, 0.05, 0.6, 0.3, 0.1])
    assert [mark["kind"] for mark in facts["marks"]] == ["connection"]
    assert facts["usage"]["known_cost"] == 0.5
    assert facts["network"]["loss"] == [0.0, 20.0]
    assert facts["sound"]["type"] == "audio/webm"
    assert facts["duration"] == 8.0
    assert facts["notes"] == []


@pytest.mark.parametrize("rate", [RATE, 8000, 44100])
def test_the_sound_is_opus_in_webm(tmp_path, rate):
    import av

    problems = []
    folder = recording(tmp_path / "call", rate=rate)
    found = gather(RecordedCall(folder, problems=problems), problems)
    path = tmp_path / "sound.webm"
    path.write_bytes(found.opus)
    with av.open(path) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.channels) == ("opus", 2)
        samples = np.concatenate([f.to_ndarray() for f in container.decode(stream)], axis=1)
    assert samples.shape[1] == pytest.approx(48_000, abs=4000)


# -- broken recordings ----------------------------------------------------------------------------


def test_a_killed_program_leaves_a_report(tmp_path):
    folder = recording(tmp_path / "call", call={"format": 1, "made_by": "rtcvoice"})
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"time": 7.0, "dir": "in", "ev')
    facts = facts_of(folder)
    assert len(facts["turns"]) == 2
    assert any("1 line could not be understood" in note for note in facts["notes"])
    assert any("end is missing" in note for note in facts["notes"])


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("call.json", None, "call.json is missing."),
        ("call.json", b"{", "call.json cannot be read: it is not a JSON object."),
        ("events.jsonl", None, "events.jsonl is missing."),
        ("events.jsonl", b"\0\xff\n[]\n{}\n", "3 lines could not be understood"),
        ("turns.jsonl", None, "turns.jsonl is missing."),
        ("stats.jsonl", b"[[[", "1 line could not be understood"),
        ("audio.wav", None, "audio.wav is missing: there is no sound."),
        ("audio.wav", b"", "audio.wav cannot be read: it is no WAV file"),
        ("audio.wav", b"RIFF....", "audio.wav cannot be read: it is no WAV file"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_is_there(tmp_path, file, content, told):
    folder = recording(tmp_path / "call")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    facts = facts_of(folder)
    assert any(told in note for note in facts["notes"]), facts["notes"]
    assert len(facts["turns"]) == 2 or "turns" in file
    assert facts["sound"]["type"] or "audio" in file
    assert documents.document(gather(RecordedCall(folder, problems=[]), []))


@pytest.mark.parametrize("depth", [150, 300, 950, 100_000])
def test_what_is_nested_deeply_is_no_event(tmp_path, depth):
    folder = recording(tmp_path / "call", audio=None)
    with (folder / "events.jsonl").open("a") as file:
        nested = "[" * depth + "]" * depth
        file.write(f'{{"time": 7.0, "dir": "in", "event": {{"type": "x", "y": {nested}}}}}\n')
    page = rtcvoice.report(folder).read_text()
    assert ("1 line could not be understood" in page) == (depth > 200)


def test_a_truncated_sound_is_there_as_far_as_it_goes(tmp_path):
    folder = recording(tmp_path / "call")
    os.truncate(folder / "audio.wav", 44 + RATE * 2)
    facts = facts_of(folder)
    assert facts["sound"]["seconds"] == 0.5
    assert any("shorter than its header says" in note for note in facts["notes"])


def test_a_wav_file_without_samples_is_no_sound(tmp_path):
    facts = facts_of(recording(tmp_path / "call", audio=0.0))
    assert "There is no sound in audio.wav." in facts["notes"]


def test_without_turns_they_are_made_out_from_the_events(tmp_path):
    item = {"type": "message", "role": "user", "id": "x"}
    item["content"] = [{"type": "input_text", "text": "Hello?"}]
    events = [*EVENTS, sent(7.0, "conversation.item.create", item=item)]
    events.append(heard(7.1, "conversation.item.added", item=item, previous_item_id=None))
    folder = recording(tmp_path / "call", call=None, turns=None, events=events)
    found = {each["id"]: each for each in facts_of(folder)["turns"]}
    assert (found["x"]["text"], found["x"]["begin"]) == ("Hello?", 7.0)


def test_files_of_others_are_not_followed_to(tmp_path):
    folder = recording(tmp_path / "call", events=None)
    secret = tmp_path / "secret"
    secret.write_text('{"time": 1, "dir": "in", "event": {"type": "secret"}}\n')
    (folder / "events.jsonl").symlink_to(secret)
    page = rtcvoice.report(folder).read_text()
    assert '"secret"' not in page
    assert "it is a link" in page


NAMES = "type id item response text turn latency stats playout time usage tokens role began"
NAMES += " ended_at noticed_at heard_at call_id cost spoken status model"
ODD = st.sampled_from([1e308, -1e308, EVIL, "\ud800", "response.done", "function_call"])
PLAIN = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=5) | ODD
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["legs", "usage", "end", "options", "stages", "versions", "began_at"]),
        ANYTHING,
    ),
    st.lists(st.tuples(st.sampled_from(["in", "out", "local"]), ANYTHING), max_size=4),
    st.lists(ANYTHING, max_size=3),
)
def test_whatever_is_in_a_recording_there_is_a_report(tmp_path_factory, call, events, values):
    folder = recording(
        tmp_path_factory.mktemp("any") / "call",
        call=call,
        events=[{"time": 1, "dir": where, "event": event} for where, event in events],
        turns=[{"time": 1, "turn": each, "latency": each} for each in values],
        seconds_of_stats=[{"time": 1, "stats": each, "usage": each} for each in values],
        audio=None,
    )
    problems = []
    page = documents.document(gather(RecordedCall(folder, problems=problems), problems))
    assert page.startswith(BEGINNING)


# -- the file -------------------------------------------------------------------------------------


def test_the_page_is_its_owners_and_deleted_with_the_recording(tmp_path):
    folder = recording(tmp_path / "20200101-000000-000_rtc_a")
    page = rtcvoice.report(folder)
    assert page == folder / "report.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert rtcvoice.report(folder) == page  # a report is replaced
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        ["audio.wav", "call.json", "events.jsonl", "report.html", "stats.jsonl", "turns.jsonl"]
    )
    remove_old(tmp_path, days=1, now=2e9)
    assert not folder.exists()


def test_only_a_report_is_replaced_unless_the_file_was_named(tmp_path):
    folder = recording(tmp_path / "call")
    theirs = folder / "report.html"
    theirs.write_text("my own page")
    with pytest.raises(ConfigError, match="not a report"):
        rtcvoice.report(folder)
    assert theirs.read_text() == "my own page"
    assert rtcvoice.report(folder, theirs).read_bytes().startswith(BEGINNING)


@pytest.mark.parametrize(
    ("name", "why"),
    [("audio.wav", "part of a recording"), (".", "a folder"), ("x/y", "No such file")],
)
def test_places_where_no_report_can_be(tmp_path, name, why):
    folder = recording(tmp_path / "call")
    before = (folder / "audio.wav").read_bytes()
    with pytest.raises(ConfigError, match=why):
        rtcvoice.report(folder, folder / name)
    assert (folder / "audio.wav").read_bytes() == before
    assert not [each for each in folder.iterdir() if each.name.startswith(".")]


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(ConfigError, match="not a file"):
        rtcvoice.report(recording(tmp_path / "call"), os.devnull)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    folder = recording(tmp_path / "call")
    assert main(["report", str(folder), "-o", str(tmp_path / "a.html"), "--open"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.html'}\n"
    assert opened == [(tmp_path / "a.html").as_uri()]
    (tmp_path / "calls").mkdir()
    folder.rename(tmp_path / "calls" / "20261129-101500-000_rtc_a")
    assert main(["report", str(tmp_path / "calls")]) == 2
    assert "the newest is" in (shown := " ".join(capsys.readouterr().err.split()))
    assert "20261129-101500-000_rtc_a" in shown


def test_a_page_goes_to_stdout(tmp_path, capfdbinary):
    folder = recording(tmp_path / "call")
    assert main(["report", str(folder), "-o", "-"]) == 0
    assert capfdbinary.readouterr().out.startswith(BEGINNING)
    assert main(["report", str(folder), "-o", "-", "--open"]) == 2
    assert not (folder / "report.html").exists()


async def test_a_call_and_what_the_emulator_saw_of_it(tmp_path):
    async with (
        BentEmulator(audio="instant", record=tmp_path / "emulators") as server,
        calling(server, record=tmp_path / "ours") as call,
    ):
        await (await call.ask("Hello!")).played()
    (ours,), (emulators,) = ((tmp_path / each).iterdir() for each in ("ours", "emulators"))
    first, second = facts_of(ours), facts_of(emulators)
    words = [[(each["role"], each["text"]) for each in facts["turns"]] for facts in (first, second)]
    assert words[0] == words[1]
    assert words[0][0] == ("user", "Hello!")
    assert first["notes"] == []
    assert len(second["notes"]) == 1  # that it is the emulator's
    assert first["usage"]["tokens"] == second["usage"]["tokens"]
    assert first["legs"][0]["route"] == "udp"
