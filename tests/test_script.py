"""The scripted persona: what a script says is what happens, and what does not fit it is told."""

import json
import logging

import numpy as np
import pytest
from emulator_driver import Driver, FakeVoice, error_of, in_order, silence, speech

from rtcvoice.emulator import Emulator
from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.persona import Context
from rtcvoice.emulator.session.plan import Call, Failure, Say
from rtcvoice.emulator.session.script import UNRECOGNISED, Scripted
from rtcvoice.emulator.session.script_file import parse_script
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.emulator.voice import PromptVoice, prompt_path
from rtcvoice.errors import ConfigError

TEXT = {"output_modalities": ["text"]}
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
TRANSCRIPT = "conversation.item.input_audio_transcription."
THREE = [
    Turn(hears="What is the capital of France?", says="reply-1"),
    Turn(says=("reply-1", "reply-2")),
    Turn(hears="Thanks."),
]


def asked(text=None, **fields):
    items = [{"type": "message", "role": "user", "content": []}]
    return Context(items=items, user_text=text, new_turn=True, spoken=False, **fields)


def play(script, settings=TEXT, **options):
    """A session whose persona plays a script: turns, or YAML."""
    turns = parse_script(script).turns if isinstance(script, str) else script
    return Driver(settings, persona=lambda voice: Scripted(turns, voice), **options)


def ask(driver, text="Hello.", seconds=5.0):
    driver.say(text)
    driver.send("response.create")
    return driver.run(seconds)


def give(driver, output, seconds=5.0):
    """Answer the newest function call."""
    call_id = driver.of("response.function_call_arguments.done")[-1]["call_id"]
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    driver.send("conversation.item.create", item=item)
    driver.send("response.create")
    driver.run(seconds)
    return driver.of("response.output_text.done")[-1]["text"]


# ---- going forward


def text_of(plan):
    return " ".join(output.text for output in plan.outputs)


def test_the_script_goes_forward_by_spoken_and_written_turns():
    voice = FakeVoice()
    one, two = voice.texts["reply-1"], voice.texts["reply-2"]
    scripted = Scripted(THREE, voice)
    assert scripted.hear(speech(1.0)).text == "What is the capital of France?"
    assert text_of(scripted.respond(asked())) == one
    assert text_of(scripted.respond(asked("written"))) == f"{one} {two}"
    assert scripted.hear(speech(1.0)).text == "Thanks."
    assert text_of(scripted.respond(asked())) == one, "the turn has no answer: the assistant"
    assert scripted.hear(speech(1.0)).text is None, "the script has ended"
    assert text_of(scripted.respond(asked())) == two


def test_two_spoken_turns_without_an_answer_between_are_two_turns():
    scripted = Scripted(THREE, FakeVoice())
    scripted.hear(speech(1.0))
    scripted.hear(speech(1.0))
    (say,) = scripted.respond(asked()).outputs
    assert say.speech.name == "reply-1+reply-2"


def test_what_is_out_of_band_or_due_to_silence_does_not_move_the_script():
    scripted = Scripted(THREE, FakeVoice())
    scripted.respond(asked(out_of_band=True))
    scripted.respond(asked(user_silent=True))
    assert scripted.hear(speech(1.0)).text == "What is the capital of France?"


def test_several_prompts_are_said_as_one_message():
    driver = play([Turn(says=("reply-1", "reply-2"))], {})
    driver.send("response.create")
    driver.run(10.0)
    (done,) = driver.of("response.output_audio_transcript.done")
    texts = driver.voice.texts
    assert done["transcript"] == f"{texts['reply-1']} {texts['reply-2']}"
    one, two = driver.voice.clip("reply-1"), driver.voice.clip("reply-2")
    assert driver.played == len(one.samples) + len(two.samples)


def test_texts_are_said_by_the_voice_alone_and_beside_prompts():
    driver = play([Turn(says=("reply-1", "Any words at all.")), Turn(says="Yes, sir.")], {})
    ask(driver, seconds=10.0)
    ask(driver, seconds=10.0)
    first, second = (e["transcript"] for e in driver.of("response.output_audio_transcript.done"))
    assert first == f"{driver.voice.texts['reply-1']} Any words at all."
    assert second == "Yes, sir."


# ---- what was said


def test_a_text_that_differs_from_the_script_is_told(caplog):
    driver = play([Turn(hears="What time is it?"), Turn(hears="Thanks!"), Turn()])
    with caplog.at_level(logging.WARNING):
        ask(driver, "what time IS it")
        assert driver.session.warnings == ()
        ask(driver, "Nonsense.")
    (warning,) = driver.session.warnings
    assert warning == "turn 2: expected the text 'Thanks!', got 'Nonsense.'"
    assert warning in caplog.text


def heard(clip, script, **settings):
    """Speak a shipped prompt to a script and return the driver when all has been answered."""
    voice = PromptVoice()
    driver = play(script, {**TRANSCRIBED, **settings}, voice=voice)
    driver.hear(np.concatenate([silence(0.5), voice.clip(clip).samples, silence(1.0)]))
    driver.run(10.0)
    return driver


def test_the_clip_that_the_script_names_is_recognised():
    driver = heard("ask-weather", "- hears: How is the weather?\n  clip: ask-weather")
    assert driver.of(TRANSCRIPT + "completed")[0]["transcript"] == "How is the weather?"
    assert driver.session.warnings == ()


def test_without_words_the_clips_own_are_the_transcript():
    driver = heard("stop", "- clip: stop")
    assert driver.of(TRANSCRIPT + "completed")[0]["transcript"] == "Stop, please."


def test_another_sound_than_the_clip_is_unrecognised_and_told():
    driver = heard("thanks", "- hears: How is it?\n  clip: ask-weather\n  says: reply-1")
    assert driver.of(TRANSCRIPT + "completed")[0]["transcript"] == UNRECOGNISED
    (warning,) = driver.session.warnings
    assert warning.startswith("turn 1: what was heard is not the clip 'ask-weather': ")
    assert driver.of("response.done")[0]["response"]["status"] == "completed", "it goes on"


def test_half_a_clip_is_unrecognised_with_the_likely_reason():
    voice = PromptVoice()
    driver = play("- clip: question", TRANSCRIBED, voice=voice)
    half = voice.clip("question").samples[: 2 * RATE_HZ]
    driver.hear(np.concatenate([silence(0.5), half, silence(1.0)]))
    assert "does a pause in it end the turn?" in driver.session.warnings[0]


@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_a_turn_chooses_the_moment_of_its_transcript(moment):
    driver = heard("stop", f"- {{clip: stop, transcript: {moment}, says: reply-1}}")
    wanted = {
        "before": [TRANSCRIPT + "completed", "response.created"],
        "middle": ["response.created", TRANSCRIPT + "completed", "response.done"],
        "after": ["response.done", TRANSCRIPT + "completed"],
    }
    assert in_order(wanted[moment], driver.events())


def test_a_turns_transcription_can_fail():
    driver = heard("stop", "- {clip: stop, transcript: fails, says: reply-1}")
    assert len(driver.of(TRANSCRIPT + "failed")) == 1
    assert driver.of(TRANSCRIPT + "completed") == []


# ---- functions


def test_a_function_is_called_and_its_result_is_spoken():
    driver = play(
        """
- hears: What is the weather in Paris?
  calls:
    get_weather: {city: Paris, days: [1, 2]}
  then:
    says: In {result.city} it is {result.now.temperature} degrees, {get_weather.sky.0}.
- says: Goodbye.
"""
    )
    ask(driver, "What is the weather in Paris?")
    (done,) = driver.of("response.function_call_arguments.done")
    assert done["name"] == "get_weather"
    assert json.loads(done["arguments"]) == {"city": "Paris", "days": [1, 2]}
    result = {"city": "Paris", "now": {"temperature": 22}, "sky": ["clear", "wet"]}
    assert give(driver, json.dumps(result)) == "In Paris it is 22 degrees, clear."
    ask(driver, "Thanks.")
    assert driver.of("response.output_text.done")[-1]["text"] == "Goodbye."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It says {result}.", "It says temperature 22, unit C."),
        ("{result.temperature}{result.unit}", "22C"),
        ("{result.missing.field} {other}", "nothing {other}"),
        ("{result.temperature.deeper}", "nothing"),
        ("{look.unit} {2} {}", "C {2} {}"),
    ],
)
def test_results_fill_the_places_left_for_them(text, said):
    driver = play([Turn(calls=["look"], then=Turn(says=text))])
    ask(driver)
    assert give(driver, '{"temperature": 22, "unit": "C"}') == said


def test_without_an_answer_of_its_own_the_result_is_told():
    driver = play("- calls: [look]\n- says: Next.")
    ask(driver)
    assert driver.of("response.function_call_arguments.done")[0]["arguments"] == "{}"
    assert give(driver, "22 degrees") == "The result is 22 degrees."
    ask(driver)
    assert driver.of("response.output_text.done")[-1]["text"] == "Next."


def test_an_answer_to_a_result_may_call_again():
    driver = play("- calls: [one]\n  then:\n    calls: [two]\n    then: {says: Both done.}")
    ask(driver)
    call_id = driver.of("response.function_call_arguments.done")[0]["call_id"]
    output = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    driver.send("conversation.item.create", item=output)
    driver.send("response.create")
    driver.run(5.0)
    assert [e["name"] for e in driver.of("response.function_call_arguments.done")] == ["one", "two"]
    assert give(driver, "2") == "Both done."


def test_arguments_may_be_broken_on_purpose():
    driver = play("""- calls: {look: '{"city": '}""")
    ask(driver)
    assert driver.of("response.function_call_arguments.done")[0]["arguments"] == '{"city": '


# ---- what goes wrong


def test_a_turn_waits():
    driver = play("- {wait: 2.5, says: reply-1}")
    ask(driver)
    added, created = (driver.time_of(f"response.{k}") for k in ("output_item.added", "created"))
    assert added - created == pytest.approx(2.5 + 0.3)


def test_an_answer_to_be_interrupted_goes_on_until_it_is():
    turns = [Turn(hears="Go.", says="reply-1", interrupted=True), Turn(says="reply-2")]
    driver = play(turns, {})
    ask(driver, "Go.", seconds=30.0)
    assert driver.of("output_audio_buffer.stopped") == []
    driver.turn(1.0)
    driver.run(10.0)
    assert len(driver.of("conversation.item.truncated")) == 1
    assert driver.session.warnings == ()


def test_an_answer_that_was_not_interrupted_as_scripted_is_told():
    driver = play([Turn(says="reply-1", interrupted=True)], {})
    ask(driver, seconds=90.0)
    assert driver.session.warnings == (
        "turn 1: the answer was to be interrupted, but was heard to its end",
    )
    assert 60 <= driver.played / RATE_HZ < 65


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "insufficient_quota"])
def test_a_response_fails(code):
    driver = play(f"- {{says: reply-1, fails: {code}}}\n- says: reply-2")
    ask(driver)
    response = driver.of("response.done")[0]["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == code
    assert response["output"][0]["status"] == "incomplete"
    assert len(driver.of("response.output_text.delta")) == 3
    assert driver.of("error") == []
    ask(driver)
    assert driver.of("response.done")[1]["response"]["status"] == "completed"


def test_a_response_fails_before_its_first_word_or_after_its_last():
    driver = play(
        """
- fails: {code: server_error, after: 0, message: Out of order.}
- {says: Short., fails: {code: server_error, after: 50}}
"""
    )
    ask(driver)
    ask(driver)
    first, second = (event["response"] for event in driver.of("response.done"))
    assert first["output"] == []
    assert first["usage"]["total_tokens"] == 0
    assert first["status_details"]["error"]["message"] == "Out of order."
    assert (second["status"], len(second["output"])) == ("failed", 1)


@pytest.mark.parametrize("reason", ["content_filter", "max_output_tokens"])
def test_a_response_is_left_incomplete(reason):
    driver = play(f"- {{says: reply-1, fails: {reason}}}")
    ask(driver)
    response = driver.of("response.done")[0]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": reason}


def test_a_response_stalls_until_it_is_cancelled():
    driver = play("- {says: reply-1, stalls_after: 2}")
    ask(driver, seconds=60.0)
    assert driver.of("response.done") == []
    assert len(driver.of("response.output_text.delta")) == 2
    driver.send("response.cancel")
    assert driver.of("response.done")[0]["response"]["status"] == "cancelled"


def test_a_stalled_response_does_not_hold_up_the_transcript():
    driver = heard("stop", "- {clip: stop, says: reply-1, stalls_after: 0}")
    assert len(driver.of(TRANSCRIPT + "completed")) == 1


def test_an_answer_can_be_lost():
    driver = play("- lost: yes\n- says: reply-2")
    assert ask(driver) == []
    ask(driver)
    assert driver.of("response.output_text.done")[0]["text"] == driver.voice.texts["reply-2"]


def test_an_answer_can_be_refused_asked_for_or_not():
    driver = play("- refused: insufficient_quota\n- refused: server_error", {})
    driver.say("Hello.")
    error = error_of(driver.send("response.create", event_id="mine"))
    assert (error["code"], error["event_id"]) == ("insufficient_quota", "mine")
    driver.turn()
    (_, second) = driver.of("error")
    assert (second["error"]["code"], second["error"]["event_id"]) == ("server_error", None)
    assert driver.of("response.created") == []


def test_the_session_can_expire_with_an_answer():
    driver = play("- {says: reply-1, expires: yes}")
    ask(driver)
    assert in_order(["response.done", "rate_limits.updated", "error"], driver.events())
    assert driver.of("error")[0]["error"]["code"] == "session_expired"
    assert driver.closed_for == "session_expired"


# ---- refused before the call


def test_a_prompt_that_does_not_exist_is_found_before_the_call():
    with pytest.raises(
        ConfigError, match="Turn 2: there is no prompt or file 'replly-1'"
    ) as caught:
        Scripted([Turn(), Turn(says="replly-1")], FakeVoice())
    assert "did you mean 'reply-1'?" in caught.value.hint
    for turn in (Turn(clip="nobody"), Turn(says="no.wav"), Turn(then=Turn(says="nobody"))):
        with pytest.raises(ConfigError, match="Turn 1: there is no"):
            Scripted([turn], FakeVoice())


def test_what_makes_no_sense_is_found_before_the_call():
    with pytest.raises(ConfigError, match="transcript is not a moment"):
        Scripted([Turn(transcript="later")], FakeVoice())
    with pytest.raises(ConfigError, match="cannot have hears="):
        Scripted([Turn(then=Turn(hears="x"))], FakeVoice())


def test_a_turn_of_python_and_one_of_yaml_are_the_same():
    assert parse_script("- {says: one, fails: x, calls: {f: {a: 1}}}").turns == [
        Turn(says=("one",), fails=Failure("x"), calls=({"f": {"a": 1}},))
    ]
    plan = Scripted([Turn(calls=["f"], says="Hi you.")], FakeVoice()).respond(asked())
    assert plan.outputs == (Say("Hi you."), Call("f", "{}"))


@pytest.mark.parametrize(
    ("given", "said", "cure"),
    [
        ({"say": "x"}, "Turn: unknown key 'say'", "did you mean 'says'?"),
        ({"call": {}}, "unknown key 'call'", "did you mean 'calls'?"),
        ({"hears": 12}, "Turn: hears is not text", "'12'"),
        ({"hears": b"x"}, "hears is not text", ""),
        ({"says": 12}, "says is not something to say", "'12'"),
        ({"says": {"text": "x"}}, "says is not something to say", "a list of them"),
        ({"says": ["x", None]}, "says is not something to say", ""),
        ({"clip": ["a.wav"]}, "clip is not the name of a prompt or file", "an audio file"),
        ({"clip": b"a.wav"}, "clip is not the name of a prompt or file", ""),
        ({"wait": "1"}, "wait is not a number of seconds", "wait=2.5"),
        ({"wait": -1}, "wait is not a number of seconds", ""),
        ({"wait": float("nan")}, "wait is not a number of seconds", ""),
        ({"interrupted": 1}, "interrupted is not yes or no", "interrupted=True"),
        ({"stalls_after": True}, "stalls_after is not a number of words", "stalls_after=5"),
        ({"refused": 500}, "refused is not an error code", ""),
        ({"transcript": "later"}, "transcript is not a moment", "before, middle"),
        ({"calls": 3}, "needs the names of functions", "get_weather"),
        ({"calls": [3]}, "calls has 3", "get_weather"),
        ({"calls": {"pay": 3}}, "the arguments of a call are a mapping", "a string"),
        ({"calls": {3: {}}}, "needs the names of functions", ""),
        ({"calls": {"pay": {"day": {1}}}}, "these arguments are not JSON", "quotes"),
        ({"calls": {"pay": {"sum": float("inf")}}}, "these arguments are not JSON", ""),
        ({"fails": 500}, "fails has the keys", "server_error"),
        ({"fails": {"after": 1}}, "fails without a code", ""),
        ({"fails": {"code": "x", "afer": 1}}, "there is no 'afer'", "did you mean 'after'?"),
        ({"fails": {"code": "x", "after": "soon"}}, "after: 'soon' cannot be", "whole number"),
        ({"then": {"says": "x"}}, "then is not a Turn", "then=Turn("),
    ],
)
def test_a_faulty_turn_of_python_is_refused_when_it_is_made(given, said, cure):
    with pytest.raises(ConfigError) as caught:
        Turn(**given)
    assert said in caught.value.message
    assert cure in caught.value.hint


def test_a_call_may_be_written_in_each_way_that_yaml_has():
    calls = (Call("pay", '{"sum": 3}'), Call("look"))
    for written in ({"pay": {"sum": 3}, "look": None}, [{"pay": {"sum": 3}}, "look"], calls):
        assert Turn(calls=written).functions() == calls
    assert Turn(calls="look").functions() == (Call("look"),)
    assert Turn(calls={"look": "{no json"}).functions() == (Call("look", "{no json"),)


def test_paths_are_names_of_files(tmp_path):
    path = tmp_path / "two words.ogg"
    path.write_bytes(prompt_path("stop").read_bytes())
    script = [Turn(clip=path, says=path), Turn(says=[path, "reply-1"])]
    assert Scripted(script, PromptVoice()).respond(asked()).outputs[0].speech is not None


@pytest.mark.parametrize(
    "script", [Turn(), 3, [{"says": "x"}], ["x"], [Turn(), None], {"turns": []}, b"x"]
)
def test_what_is_no_script_is_refused_with_an_example(script):
    with pytest.raises(ConfigError, match=r"list of turns|not a Turn") as caught:
        Emulator(script=script)
    assert "Turn(hears=" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.wav", "", ".", "/dev/null", "/tmp", "..wav"])
def test_no_odd_name_of_a_clip_is_anything_but_a_config_error(name):
    with pytest.raises(ConfigError):
        Scripted([Turn(clip=name)], FakeVoice())
