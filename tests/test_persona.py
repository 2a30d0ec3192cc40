"""The emulator's default persona: brief, talkative when asked; it calls tools and knows clips."""

import json

import numpy as np
import pytest
from emulator_driver import Driver, FakeVoice, babble, silence, types

from rtcvoice.emulator.session.assistant import Assistant
from rtcvoice.emulator.session.clips import Clip
from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.persona import Context, Hearing
from rtcvoice.emulator.session.plan import Plan, Say
from rtcvoice.emulator.session.script_file import load_script
from rtcvoice.emulator.voice import PromptVoice, prompt_path

NOTHING = Context(items=[], user_text=None, new_turn=False, spoken=False)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TIME = {"type": "function", "name": "getTime", "parameters": {"type": "object", "properties": {}}}
REMIND = {"type": "function", "name": "set_reminder"}
MESSAGE = {"type": "message", "role": "user", "content": []}


def asked(text=None, tools=(), items=(MESSAGE,), *, spoken=False, **fields):
    session = {"tools": list(tools)}
    return Context(
        items=items, user_text=text, new_turn=True, spoken=spoken, session=session, **fields
    )


def called(plan):
    return [(call.name, json.loads(call.arguments)) for call in plan.outputs]


def test_the_assistant_greets_takes_turns_and_tells_stories():
    voice = FakeVoice()
    assistant = Assistant(voice)
    said = [
        assistant.respond(context).outputs[0].text
        for context in (
            NOTHING,
            asked("Hello"),
            asked(),
            asked("Hello again"),
            asked("A LONG answer, please"),
            asked("Could you count for me?"),
            asked("Tell me a story"),
            asked("Along the way"),
            asked(user_silent=True),
        )
    ]
    names = ["greeting", "reply-1", "reply-2", "reply-1", *["talk"] * 3, "reply-2", "still-there"]
    assert said == [voice.texts[name] for name in names]


def test_a_long_answer_lasts_twenty_seconds():
    (say,) = Assistant(PromptVoice()).respond(asked("Tell me a long story.")).outputs
    assert 20 <= len(say.speech.samples) / RATE_HZ <= 26


def test_it_makes_do_with_any_voice_and_not_with_none():
    class OneClip:
        def names(self):
            return ["x"]

        def clip(self, name):
            return Clip(name, "Something.", babble("Something."))

        def answer_to(self, text):
            return None

        def say(self, text):
            return self.clip("x")

    class Mute:
        def names(self):
            return []

    assert Assistant(OneClip()).respond(asked("a long story")).outputs[0].text == "Something."
    with pytest.raises(ValueError, match="at least one clip"):
        Assistant(Mute())


def said_to(assistant, *contexts):
    return [assistant.respond(context).outputs[0].text for context in contexts]


def test_its_own_clips_it_answers_without_a_script_as_the_demo_does():
    """Seen with the demo's question, which got another answer outside the demo."""
    voice = PromptVoice()
    demo = load_script(prompt_path("question").parent / "demo.yaml")
    assistant = Assistant(voice)
    assert len(demo) == 3
    for turn in demo:
        heard = assistant.hear(voice.clip(turn.clip).samples).text
        (answer,) = said_to(assistant, asked(heard))
        assert answer == voice.text(turn.says[0])


def test_of_speech_that_is_no_clip_of_its_own_it_says_so():
    voice = PromptVoice()
    unknown = asked(spoken=True)
    first, second = said_to(Assistant(voice), unknown, unknown)
    assert "It knows the clips it came with, and no other speech." in first
    assert second == "That was none of the clips I know."
    assert said_to(Assistant(voice), asked("Hello."))[0].startswith("I heard you.")


@pytest.mark.parametrize("instructions", ["You are an interpreter.", "Translate into French!"])
def test_it_does_not_pretend_to_translate(instructions):
    context = asked("What is a jitter buffer?", request={"instructions": instructions})
    assert said_to(Assistant(PromptVoice()), context) == [
        "This is a local emulator. It cannot translate."
    ]


# ---- tools


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What is the weather in Paris?", ["get_weather"]),
        ("WEATHER!", ["get_weather"]),
        ("What time is it?", ["getTime"]),
        ("The weather and the time, please.", ["get_weather", "getTime"]),
        ("Any reminders for today?", ["set_reminder"]),
        ("Get it.", ["get_weather"]),
        ("Hello there.", []),
        ("Sometimes I wonder whether", []),
        ("", []),
    ],
)
def test_a_word_of_its_name_calls_a_tool(text, names):
    plan = Assistant(FakeVoice()).respond(asked(text, [WEATHER, TIME, REMIND]))
    made = [output.name for output in plan.outputs if not isinstance(output, Say)]
    assert made == names


def test_the_arguments_come_from_the_text():
    plan = Assistant(FakeVoice()).respond(asked("What is the weather in Paris?", [WEATHER]))
    assert called(plan) == [("get_weather", {"city": "Paris"})]


def test_without_parallel_calls_there_is_one():
    context = asked("The weather and the time.", [WEATHER, TIME])
    context.session["parallel_tool_calls"] = False
    assert [name for name, _ in called(Assistant(FakeVoice()).respond(context))] == ["get_weather"]


@pytest.mark.parametrize(
    ("choice", "text", "names"),
    [
        ("none", "The weather?", []),
        ("required", "Hello.", ["get_weather"]),
        ("required", "The time?", ["getTime"]),
        ({"type": "function", "name": "getTime"}, "The weather?", ["getTime"]),
        ({"type": "function", "name": "nobody"}, "The weather?", []),
    ],
)
def test_the_tool_choice_decides(choice, text, names):
    context = asked(text, [WEATHER, TIME])
    context.session["tool_choice"] = choice
    plan = Assistant(FakeVoice()).respond(context)
    assert [output.name for output in plan.outputs if not isinstance(output, Say)] == names


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("22 degrees", "The result is 22 degrees."),
        ('{"temperature": 22}', "The result is 22."),
        ('{"temperature": 22, "sky": "clear"}', "The result is temperature 22, sky clear."),
        ("[1, 2]", "The result is 1, 2."),
        ("5.0", "The result is 5."),
        ("1e400", "The result is inf."),
        ("", "It is done."),
        ("null", "It is done."),
        ("true", "It is done."),
        ("false", "The result is no."),
        ('{"error": "no such city"}', "I am sorry, that did not work."),
        ("[" * 100_000, None),
        ("word " * 1000, None),
    ],
)
def test_results_are_told(output, words):
    call = {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": output}
    context = asked("The weather?", [WEATHER], items=[MESSAGE, call, result])
    (say,) = Assistant(FakeVoice()).respond(context).outputs
    assert say.text == words if words else len(say.text) < 300


def test_several_results_are_told_together_and_old_ones_not_again():
    calls = [
        {"type": "function_call", "name": n, "call_id": n, "arguments": "{}"} for n in ("a", "b")
    ]
    results = [
        {"type": "function_call_output", "call_id": n, "output": f"{n}!"} for n in ("a", "b")
    ]
    items = [MESSAGE, *calls, *results]
    (say,) = Assistant(FakeVoice()).respond(asked("x", items=items)).outputs
    assert say.text == "The result is a!. The result is b!."
    (say,) = Assistant(FakeVoice()).respond(asked("x", items=[*items, MESSAGE])).outputs
    assert say.text == FakeVoice().texts["reply-1"]


def test_a_tool_round_trip_in_a_session():
    driver = Driver({"tools": [WEATHER]})
    driver.say("What is the weather in Paris?")
    driver.send("response.create")
    driver.run(3.0)
    (done,) = driver.of("response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == {"city": "Paris"}
    result = {"type": "function_call_output", "call_id": done["call_id"], "output": "22 degrees"}
    driver.send("conversation.item.create", item=result)
    driver.send("response.create")
    driver.run(10.0)
    (said,) = driver.of("response.output_audio_transcript.done")
    assert said["transcript"] == "The result is 22 degrees."
    assert driver.played > RATE_HZ
    driver.send("response.create")
    driver.run(10.0)
    assert len(driver.of("response.function_call_arguments.done")) == 1, "it is not asked for again"


# ---- ears


def test_it_knows_the_shipped_clips_of_the_user_and_nothing_else():
    voice = PromptVoice()
    assistant = Assistant(voice)
    for name in voice.user_clips():
        clip = voice.clip(name)
        heard = np.concatenate([silence(0.3), clip.samples // 3, silence(0.5)])
        assert assistant.hear(heard).text == clip.text
    assert assistant.hear(voice.clip("greeting").samples) == Hearing(None)
    assert assistant.hear(babble("anything at all")) == Hearing(None)
    assert assistant.hear(silence(2.0)) == Hearing(None)
    assert assistant.hear(silence(0.0)) == Hearing(None)


def test_a_spoken_question_calls_a_tool():
    voice = PromptVoice()
    driver = Driver({"tools": [WEATHER]}, voice=voice)
    driver.hear(np.concatenate([silence(0.5), voice.clip("ask-weather").samples, silence(1.0)]))
    driver.run(3.0)
    (done,) = driver.of("response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == {"city": "Paris"}


# ---- any persona


def test_a_persona_sees_the_conversation():
    seen = []

    class Curious:
        def __init__(self, voice):
            self._clip = voice.clip("reply-1")

        def hear(self, samples):
            assert 1.2 * RATE_HZ < len(samples) < 2.2 * RATE_HZ, "the turn with its padding"
            return Hearing("Spoken words.")

        def respond(self, context):
            seen.append(context)
            return Plan((Say(self._clip.text, self._clip),))

    driver = Driver(persona=Curious)
    driver.say("Written words.")
    driver.send("response.create", response={"instructions": "Be brief."})
    driver.run(8.0)
    driver.send("response.create")
    driver.run(8.0)
    driver.turn()
    driver.run(8.0)
    assert [context.user_text for context in seen] == [
        "Written words.",
        "Written words.",
        "Spoken words.",
    ]
    assert [context.new_turn for context in seen] == [True, False, True]
    assert [context.spoken for context in seen] == [False, False, True]
    assert seen[0].request == {"instructions": "Be brief."}
    assert len(seen[2].items) == 4
    assert types(driver.events()).count("output_audio_buffer.stopped") == 3


def test_words_without_a_recording_are_spoken_as_well_as_the_voice_can():
    class Writer:
        def __init__(self, voice):
            pass

        def hear(self, samples):
            return Hearing()

        def respond(self, context):
            return Plan((Say("Words without a recording."),))

    driver = Driver(persona=Writer)
    driver.send("response.create", response={"output_modalities": ["text"]})
    driver.run(2.0)
    assert driver.of("response.output_text.done")[0]["text"] == "Words without a recording."
    assert driver.played == 0
    driver.send("response.create")
    driver.run(5.0)
    assert driver.played == len(babble("Words without a recording."))
