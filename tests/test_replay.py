"""What a new session is given of a conversation, and who is told of what; pure."""

from __future__ import annotations

import numpy as np
import pytest
import said
from emulator_driver import silence, speech

from rtcvoice import events as e
from rtcvoice.conversation.speech import spoken_part
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.items import Items
from rtcvoice.conversation.state.replay import (
    CUT_OFF,
    IMAGE_GONE,
    UNHEARD,
    replay,
    short_id,
)
from rtcvoice.conversation.state.session_updates import SessionUpdates, merged
from rtcvoice.conversation.state.taken_over import TakenOver

LONG = "call_" + "x" * 40
PNG = "data:image/png;base64,AAAA"


class Told:
    """Items, as a server told of them."""

    def __init__(self):
        self.items = Items()
        self.last = None

    def add(self, item):
        for event in said.item_in(item, self.last):
            self.items.feed(event, 0.0)
        self.last = item.id
        return self.items.get(item.id)

    def message(self, item_id, role, *content):
        return self.add(e.Message(id=item_id, role=role, status="completed", content=list(content)))

    def text(self, item_id, role, text):
        kind = "output_text" if role == "assistant" else "input_text"
        return self.message(item_id, role, e.ContentPart(type=kind, text=text))

    def call(self, item_id, call_id):
        return self.add(e.FunctionCall(id=item_id, name="f", arguments="{}", call_id=call_id))

    def output(self, item_id, call_id, output="1"):
        return self.add(e.FunctionCallOutput(id=item_id, call_id=call_id, output=output))

    def replay(self, **options):
        heard = options.pop("heard_text", lambda text, ms: text[: ms // 100])
        return replay(self.items, heard_text=heard, **options)


def brief(item):
    if isinstance(item, e.Message):
        return item.role, [part.text or part.type for part in item.content]
    return item.type, item.call_id


def test_each_kind_comes_back_as_what_a_client_may_create():
    told = Told()
    told.text("s", "system", "Be kind.")
    told.message(
        "u",
        "user",
        e.ContentPart(type="input_text", text="Look:"),
        e.ContentPart(type="input_image", image_url=PNG, detail="low"),
    )
    spoken = told.message("v", "user", e.ContentPart(type="input_audio"))
    spoken.parts[0].text = "and this"
    told.message("a", "assistant", e.ContentPart(type="output_audio", transcript="I see."))
    told.call("f", "c1")
    told.output("o", "c1", "42")
    made = told.replay()
    assert [brief(item) for item in made.items] == [
        ("system", ["Be kind."]),
        ("user", ["Look:", "input_image"]),
        ("user", ["and this"]),
        ("assistant", ["I see."]),
        ("function_call", "c1"),
        ("function_call_output", "c1"),
    ]
    assert [item.id for item in made.items] == ["s", "u", "v", "a", "f", "o"]  # as they were
    image = made.items[1].content[1]
    assert (image.image_url, image.detail) == (PNG, "low")
    kinds = {part.type for item in made.items[:4] for part in item.content}
    assert kinds == {"input_text", "input_image", "output_text"}  # no sound of the assistant
    assert made.dropped == ()
    assert made.image_tokens > 0
    assert made.audio_tokens == 0


def test_of_an_interrupted_answer_the_heard_part_and_a_mark():
    told = Told()
    cut = told.message("a", "assistant", e.ContentPart(type="output_audio", transcript="One two."))
    cut.heard_ms = 300
    unheard = told.message("b", "assistant", e.ContentPart(type="output_audio", transcript="Three"))
    unheard.heard_ms = 0
    made = told.replay()
    assert [brief(item) for item in made.items] == [("assistant", [f"One {CUT_OFF}"])]
    assert made.dropped == ("b",)


def test_a_turn_of_the_user_is_never_left_out_in_silence():
    told = Told()
    told.message("u", "user", e.ContentPart(type="input_audio"))
    told.message("v", "user", e.ContentPart(type="input_audio"))
    gone = told.message("w", "user", e.ContentPart(type="input_image", image_url=PNG))
    gone.parts[0].image_url, gone.parts[0].dropped = None, True
    sound = e.Message(
        id="v", role="user", content=[e.ContentPart(type="input_audio", audio="A" * 64000)]
    )
    made = told.replay(speech=lambda item_id: [sound] if item_id == "v" else [])
    assert [brief(item) for item in made.items] == [
        ("user", [UNHEARD]),
        ("user", ["input_audio"]),
        ("user", [IMAGE_GONE]),
    ]
    assert made.audio_tokens == 10  # 1 s
    assert made.dropped == ()


def test_what_cannot_be_created_is_left_out_and_counted():
    told = Told()
    told.add(e.McpListTools(id="m", server_label="x", tools=[]))
    told.text("a", "assistant", "")
    empty = told.message("e", "user", e.ContentPart(type="input_audio"))
    empty.timed_out = True
    told.call("f", "no output")
    told.output("o", "no call")
    told.text("u", "user", "Hello")
    made = told.replay()
    assert made.records == ("u",)
    assert made.dropped == ("m", "a", "e", "f", "o")


def test_a_pair_is_delivered_once():
    told = Told()
    told.call("f", "c")
    told.output("o", "c")
    told.output("p", "c")
    assert told.replay().records == ("f", "o")
    assert told.replay().dropped == ("p",)


@pytest.mark.parametrize(
    ("most", "records"), [(9, "abfcod"), (4, "fcod"), (3, "cd"), (2, "d"), (1, "d"), (0, "")]
)
def test_the_oldest_is_left_out_and_no_pair_is_split(most, records):
    told = Told()
    told.text("a", "user", "a")
    told.text("b", "assistant", "b")
    told.call("f", "c1")
    told.text("c", "user", "c")
    told.output("o", "c1")
    told.text("d", "assistant", "d")
    made = told.replay(max_items=most)
    # An output without its call is no use, and its place is not given to what is older.
    assert "".join(made.records) == records
    assert set(made.records) | set(made.dropped) == set("abfcod")


def test_the_limit_on_tokens_counts_text_in_any_script():
    told = Told()
    told.text("a", "user", "x" * 3000)
    told.text("b", "assistant", "\u4f60" * 1000)
    assert told.replay().text_tokens == 2008
    assert told.replay(max_tokens=1500).records == ("b",)
    assert told.replay(max_tokens=500).records == ()


def test_ids_are_short_and_always_the_same():
    told = Told()
    told.call("i" * 50, LONG)
    told.output("o", LONG)
    call, output = told.replay().items
    assert call.call_id == output.call_id == short_id(LONG)
    assert len(call.call_id) <= 32
    assert len(call.id) <= 32
    assert short_id("call_" + "y" * 40) != short_id(LONG)
    assert short_id("x" * 32) == "x" * 32


# -- another session, in other words ------------------------------------------------------------


def test_names_go_both_ways():
    told = Told()
    told.call("i" * 50, LONG)
    session = TakenOver(told.items)
    session.lack_calls(())
    session.name("ours", "theirs")
    output = e.ConversationItemCreate(
        item=e.FunctionCallOutput(id="o", call_id=LONG, output="1"), previous_item_id="ours"
    )
    call, sent = session.outgoing(output, lambda: "new")
    assert call.item.call_id == sent.item.call_id == short_id(LONG)
    assert sent.previous_item_id == "theirs"
    assert session.outgoing(output, lambda: "new")[1:] == []  # the call goes in once
    echo = e.ConversationItemAdded(item=sent.item, previous_item_id="theirs")
    back = session.incoming(echo)
    assert (back.item.call_id, back.previous_item_id) == (LONG, "ours")
    assert session.incoming(e.ConversationItemDeleted(item_id="theirs")).item_id == "ours"
    assert session.incoming(e.ConversationItemAdded(item=call.item)) is None  # it is known here


def test_what_follows_the_last_item_of_the_session_comes_last():
    told = Told()
    told.text("a", "user", "a")
    told.call("f", "c")
    told.text("b", "user", "b")  # neither of these is in the new session
    session = TakenOver(told.items)
    session.lack_calls(("a",))
    told.items.live_in(["a"])
    call = e.FunctionCall(id="f", name="f", arguments="{}", call_id="c")
    output = e.FunctionCallOutput(id="o", call_id="c", output="1")
    for item, previous in ((call, "a"), (output, "f"), (said.user_item("n", "new"), "o")):
        event = session.incoming(e.ConversationItemAdded(item=item, previous_item_id=previous))
        if event is not None:
            told.items.feed(event, 0.0)
    assert [record.id for record in told.items] == ["a", "f", "b", "o", "n"]


def test_in_an_empty_session_the_first_item_comes_last():
    told = Told()
    told.text("a", "user", "a")
    told.text("b", "user", "b")
    told.items.live_in([])
    for item_id, previous in (("c", None), ("d", "c")):
        item = said.user_item(item_id, "x")
        told.items.feed(e.ConversationItemAdded(item=item, previous_item_id=previous), 0.0)
    assert [record.id for record in told.items] == ["a", "b", "c", "d"]


def test_changes_of_a_session_are_kept_as_one():
    updates = SessionUpdates()
    first = {"type": "realtime", "audio": {"input": {"turn_detection": None}}, "tools": [{"a": 1}]}
    second = {"audio": {"output": {"speed": 1.2}, "input": {"noise_reduction": None}}, "tools": []}
    refused = {"instructions": "no"}
    for number, session in enumerate((first, refused, second)):
        updates.sent(e.SessionUpdate(event_id=str(number), session=session))
    updates.feed(said.error("invalid_value", "1"), 1.0)
    updates.feed(e.SessionUpdated(session=e.Session()), 2.0)
    assert [event.session for event in updates.pending] == [second]
    updates.feed(e.SessionUpdated(session=e.Session()), 3.0)
    assert updates.made_at == 3.0
    assert updates.made == {
        "type": "realtime",
        "audio": {
            "input": {"turn_detection": None, "noise_reduction": None},
            "output": {"speed": 1.2},
        },
        "tools": [],
    }
    assert first["tools"] == [{"a": 1}]  # what was given is not changed
    assert merged({"a": {"b": 1}}, {"a": {"c": 2}}) == {"a": {"c": 2}}


def test_what_is_unconfirmed_counts_from_the_last_turn():
    state = ConversationState(lambda: "id")
    state.feed(said.session(), 0.0)
    for event in said.spoken("u"):
        state.feed(event, 10.0)
    assert state.confirmed_until == 9.5
    state.feed(e.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id="v"), 12.0)
    assert state.confirmed_until == 9.5


# -- speech -------------------------------------------------------------------------------------


def noise(seconds, loudness, seed=3):
    made = np.random.default_rng(seed).normal(0, loudness, round(seconds * 24000))
    return made.clip(-32767, 32767).astype(np.int16)


@pytest.mark.parametrize("loudness", [0.0, 30.0, 150.0])
def test_speech_is_found_and_silence_around_it_left_off(loudness):
    samples = np.concatenate([silence(4.0), speech(1.5), silence(4.0)])
    found = spoken_part(samples + noise(9.5, loudness))
    assert found is not None
    assert 1.5 <= len(found) / 24000 <= 2.5


def test_who_speaks_all_the_time_is_heard():
    found = spoken_part(speech(10.0))
    assert len(found) >= 9.5 * 24000


@pytest.mark.parametrize("loudness", [0.0, 20.0, 300.0, 3000.0])
def test_a_steady_noise_is_no_speech(loudness):
    assert spoken_part(noise(10.0, loudness)) is None


def test_a_click_is_no_speech():
    samples = silence(5.0)
    samples[60000:61000] = 20000
    assert spoken_part(samples) is None
    assert spoken_part(silence(0.0)) is None


@pytest.mark.parametrize("gain", [0.05, 0.3, 1.0])
def test_soft_speech_is_speech(gain):
    samples = np.concatenate([silence(1.0), speech(2.0), silence(1.0)])
    assert spoken_part((samples * gain).astype(np.int16)) is not None
