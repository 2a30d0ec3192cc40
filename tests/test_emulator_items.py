"""The emulator's conversation: items created, placed, retrieved, deleted, truncated."""

import pytest
from emulator_driver import Driver, error_of, types
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.conversation import ROOT, Conversation, Entry
from rtcvoice.emulator.session.items import Tokens

ADDED_DONE = ["conversation.item.added", "conversation.item.done"]


def create(driver, item, **fields):
    return driver.send("conversation.item.create", item=item, **fields)


def user(text="Hi", **fields):
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


# ---- protocol statement 28: "item.create → added then done, previous_item_id correct, null for the
# first, "root" honoured; missing ids generated; unknown predecessor → error, no item."


def test_items_are_added_then_done_each_after_the_last():
    driver = Driver()
    first, second = create(driver, user(id="one")), create(driver, user())
    assert types(first) == types(second) == ADDED_DONE
    assert [event["previous_item_id"] for event in first] == [None, None]
    assert [event["previous_item_id"] for event in second] == ["one", "one"]
    item = second[1]["item"]
    assert item["id"].startswith("item_")
    assert item["status"] == "completed"
    assert "object" not in item


def test_root_and_predecessors_place_an_item():
    driver = Driver()
    for item_id, after in (("a", None), ("b", None), ("front", "root"), ("between", "a")):
        fields = {} if after is None else {"previous_item_id": after}
        create(driver, user(id=item_id), **fields)
    assert [event["previous_item_id"] for event in driver.of("conversation.item.added")] == [
        None,
        "a",
        None,
        "a",
    ]
    assert [entry.item["id"] for entry in driver.session._conversation] == [
        "front",
        "a",
        "between",
        "b",
    ]


def test_an_unknown_predecessor_is_refused():
    driver = Driver()
    error = error_of(create(driver, user(id="x"), previous_item_id="nobody"))
    assert error["param"] == "previous_item_id"
    unknown = error_of(driver.send("conversation.item.retrieve", item_id="x"))
    assert unknown["code"] == "item_retrieve_invalid_item_id"


def test_an_id_can_be_used_once():
    driver = Driver()
    create(driver, user(id="x"))
    assert error_of(create(driver, user(id="x")))["param"] == "item.id"


# ---- 29: "retrieve → retrieved; delete → deleted; unknown id → error with the client's event_id in
# error.event_id"


def test_retrieve_and_delete():
    driver = Driver()
    create(driver, user("Hello", id="x"))
    (retrieved,) = driver.send("conversation.item.retrieve", item_id="x")
    assert retrieved["type"] == "conversation.item.retrieved"
    assert retrieved["item"]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert types(driver.send("conversation.item.delete", item_id="x")) == [
        "conversation.item.deleted"
    ]
    for verb in ("retrieve", "delete"):
        events = driver.send(f"conversation.item.{verb}", item_id="x", event_id="mine")
        error = error_of(events)
        assert error["code"] == f"item_{verb}_invalid_item_id"
        assert error["event_id"] == "mine"


def test_an_item_in_the_making_cannot_be_deleted():
    driver = Driver()
    driver.say("Hello.")
    driver.send("response.create")
    driver.run(0.35)
    item_id = driver.of("conversation.item.added")[-1]["item"]["id"]
    assert error_of(driver.send("conversation.item.delete", item_id=item_id))["param"] == "item_id"
    driver.run(5.0)
    assert types(driver.send("conversation.item.delete", item_id=item_id)) == [
        "conversation.item.deleted"
    ]


def test_deleting_what_is_playing_does_not_disturb_a_barge_in():
    driver = Driver()
    driver.say("Tell me a long story.")
    driver.send("response.create")
    driver.run(5.0)
    item_id = driver.of("response.output_item.done")[0]["item"]["id"]
    driver.send("conversation.item.delete", item_id=item_id)
    assert types(driver.send("output_audio_buffer.clear")) == ["output_audio_buffer.cleared"]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "message", "role": "user"}, "item.content"),
        ({"type": "message", "content": []}, "item.role"),
        ({"type": "note"}, "item.type"),
        ({"role": "user"}, "item.type"),
        ({**user(), "extra": 1}, "item.extra"),
        ({**user(), "id": "no spaces"}, "item.id"),
        ({**user(), "content": [{"type": "text", "text": "x"}]}, "item.content[0].type"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]},
            "item.content[0].text",
        ),
        (
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_audio", "audio": "no base64!"}],
            },
            "item.content[0].audio",
        ),
    ],
)
def test_bad_items_are_refused_by_path(item, param):
    driver = Driver()
    assert error_of(create(driver, item))["param"] == param
    assert len(driver.session._conversation) == 0


@pytest.mark.parametrize(
    "item",
    [
        {
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Be kind."}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello."}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
        },
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"},
        user(object="realtime.item", status="completed"),
    ],
)
def test_every_kind_of_item_can_be_created(item):
    events = create(Driver(), item)
    assert types(events) == ADDED_DONE
    assert events[0]["item"]["type"] == item["type"]


def test_audio_items_lose_their_audio_and_keep_its_weight():
    driver = Driver({"instructions": ""})
    encoded = "AAAA" * (48_000 // 3)  # one second
    content = [{"type": "input_audio", "audio": encoded}]
    event = create(driver, {"type": "message", "role": "user", "content": content})[0]
    assert event["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    driver.send("response.create")
    driver.run(10.0)
    usage = driver.of("response.done")[0]["response"]["usage"]
    assert usage["input_token_details"]["audio_tokens"] == 10


@pytest.mark.parametrize(
    "item",
    [
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "output": "22"},
    ],
)
def test_a_call_id_of_another_maker_is_too_long(item):
    """The service takes 32 characters; ids of others, replayed into a new session, have more."""
    driver = Driver()
    error = error_of(create(driver, {**item, "call_id": "toolu_" + "x" * 27}))
    assert (error["code"], error["param"]) == ("string_above_max_length", "item.call_id")
    assert "maximum length 32, but got a string with length 33" in error["message"]
    assert len(driver.session._conversation) == 0
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "x" * 32}
    assert types(create(driver, call)) == ADDED_DONE


def test_a_conversation_brought_along_is_taken_as_the_service_takes_it():
    """Assistant audio is refused like a text part without text; heard text and pairs are taken."""
    driver = Driver()
    spoken = {"type": "output_audio", "transcript": "It is warm.", "audio": "AAAA"}
    said = {"type": "message", "role": "assistant", "content": [spoken]}
    error = error_of(create(driver, said))
    assert (error["code"], error["message"]) == (
        "missing_required_parameter",
        "Missing required parameter: 'item.content[0].text'.",
    )
    heard = {"type": "output_text", "text": "It is warm."}
    for item in (
        {**said, "content": [heard]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "22"},
    ):
        assert types(create(driver, item)) == ADDED_DONE


# ---- 48: "function_call_output accepted for a known call_id; echoed as item."


def test_a_function_result_belongs_to_a_call():
    driver = Driver()
    result = {"type": "function_call_output", "call_id": "call_1", "output": "22 degrees"}
    error = error_of(create(driver, result))
    assert (error["code"], error["param"]) == ("invalid_tool_call_id", "item.call_id")
    create(driver, {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"})
    events = create(driver, {**result, "status": "completed"})
    assert types(events) == ADDED_DONE
    echoed = dict(events[1]["item"])
    assert echoed.pop("id").startswith("item_")
    assert echoed == result, "the service's echo has no status"


# ---- §4.9: truncate


def test_truncate_by_the_client():
    driver = Driver()
    driver.say("Tell me a long story.", id="question")
    driver.send("response.create")
    driver.run(30.0)
    item_id = driver.of("response.output_item.done")[0]["item"]["id"]

    def truncate(item_id, end_ms):
        return driver.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=end_ms
        )

    error = error_of(truncate(item_id, 20_001))
    assert error["code"] == "invalid_value"
    assert error["message"] == "Audio content of 20000ms is already shorter than 20001ms"
    (event,) = truncate(item_id, 1500)
    assert (event["item_id"], event["audio_end_ms"]) == (item_id, 1500)
    assert error_of(truncate(item_id, 1501))["code"] == "invalid_value"
    assert error_of(truncate("nobody", 0))["code"] == "item_truncate_invalid_item_id"
    error = error_of(truncate("question", 0))
    assert (error["code"], error["message"]) == (
        None,
        "Only model output audio messages can be truncated",
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["end", "root", "after", "delete"]), st.integers(0, 9))))
def test_the_chain_agrees_with_a_plain_list(steps):
    chain, model = Conversation("conv"), []
    for number, (step, index) in enumerate(steps):
        name, other = f"i{number}", model[index % len(model)] if model else None
        entry = Entry({"id": name}, Tokens())
        if step == "end" or other is None:
            assert chain.add(entry)
            model.append(name)
        elif step == "root":
            assert chain.add(entry, after=ROOT)
            model.insert(0, name)
        elif step == "after":
            assert chain.add(entry, after=other)
            model.insert(model.index(other) + 1, name)
        else:
            assert chain.delete(other)
            model.remove(other)
    assert [entry.item["id"] for entry in chain] == model
    for before, name in zip([None, *model], model, strict=False):
        assert chain.previous_of(name) == before
    assert not chain.add(Entry({"id": "x"}, Tokens()), after="nobody")
    assert chain.last_id == (model[-1] if model else None)
