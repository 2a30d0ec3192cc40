"""Who answers in the emulator: the assistant and the script."""

import pytest
from emulator_driver import Driver, FakeVoice, babble, types

from rtcvoice.emulator.session.persona import Assistant, Clip, Context, Reply, join
from rtcvoice.emulator.session.script import Scripted, Turn, load_script, parse_script
from rtcvoice.errors import ConfigError

NOTHING = Context(items=[], user_text=None, new_turn=False, spoken=False)
SCRIPT = """
- hears: What is the capital of France?
  says: reply-1
- says: [reply-1, reply-2]
- hears: "Thanks."
"""


def asked(text=None, **fields):
    return Context(items=[{}], user_text=text, new_turn=True, spoken=False, **fields)


def test_the_assistant_greets_takes_turns_and_tells_stories():
    voice = FakeVoice()
    assistant = Assistant(voice)
    names = [
        assistant.respond(context).clip.name
        for context in (
            NOTHING,
            asked("Hello"),
            asked(),
            asked("Hello again"),
            asked("A LONG answer, please"),
            asked(user_silent=True),
        )
    ]
    assert names == ["greeting", "reply-1", "reply-2", "reply-1", "talk", "still-there"]


def test_the_assistant_makes_do_with_any_voice():
    class OneClip:
        def names(self):
            return ["x"]

        def clip(self, name):
            return Clip(name, "Something.", babble("Something."))

    assert Assistant(OneClip()).respond(asked("a long story")).text == "Something."


def test_a_script_is_read_from_yaml(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT, encoding="utf-8")
    assert load_script(path) == [
        Turn(hears="What is the capital of France?", says=("reply-1",)),
        Turn(says=("reply-1", "reply-2")),
        Turn(hears="Thanks."),
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("hears: x", "a script is a list"),
        ("- says: x\n- just words", "turn 2"),
        ("- hears: x\n  say: y", "'say'"),
        ("- hears: 12", "turn 1"),
        ("- says: {text: x}", "turn 1"),
        ("- hears: [\n", "line 2"),
    ],
)
def test_a_faulty_script_says_where_and_how_to_mend_it(text, place):
    with pytest.raises(ConfigError) as caught:
        parse_script(text)
    assert place in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_script(tmp_path / "nothing.yaml")


def test_a_file_that_is_not_text_is_a_config_error(tmp_path):
    (tmp_path / "sound.ogg").write_bytes(b"OggS\xff")
    with pytest.raises(ConfigError, match="is not text"):
        load_script(tmp_path / "sound.ogg")


def test_an_unknown_prompt_is_found_before_the_call():
    with pytest.raises(ConfigError, match="Turn 2") as caught:
        Scripted([Turn(), Turn(says=("nobody",))], FakeVoice())
    assert "reply-1" in caught.value.hint


def test_the_script_goes_forward_by_spoken_and_written_turns():
    scripted = Scripted(parse_script(SCRIPT), FakeVoice())
    assert scripted.hear() == "What is the capital of France?"
    assert scripted.respond(asked()).clip.name == "reply-1"
    assert scripted.respond(asked("written")).clip.name == "reply-1+reply-2"
    assert scripted.hear() == "Thanks."
    assert scripted.respond(asked()).clip.name == "reply-1", "the turn has no answer: the assistant"
    assert scripted.hear() is None, "the script has ended"
    assert scripted.respond(asked()).clip.name == "reply-2"


def test_two_spoken_turns_without_an_answer_between_are_two_turns():
    scripted = Scripted(parse_script(SCRIPT), FakeVoice())
    scripted.hear()
    scripted.hear()
    assert scripted.respond(asked()).clip.name == "reply-1+reply-2"


def test_what_is_out_of_band_does_not_move_the_script():
    scripted = Scripted(parse_script(SCRIPT), FakeVoice())
    scripted.respond(asked(out_of_band=True))
    assert scripted.hear() == "What is the capital of France?"


def test_several_prompts_are_said_as_one_message():
    driver = Driver(persona=lambda v: Scripted([Turn(says=("reply-1", "reply-2"))], v))
    driver.send("response.create")
    driver.run(10.0)
    (done,) = driver.of("response.output_audio_transcript.done")
    texts = driver.voice.texts
    assert done["transcript"] == f"{texts['reply-1']} {texts['reply-2']}"
    one, two = driver.voice.clip("reply-1"), driver.voice.clip("reply-2")
    assert driver.played == len(one.samples) + len(two.samples) == len(join([one, two]).samples)


def test_a_persona_sees_the_conversation():
    seen = []

    class Curious:
        def __init__(self, voice):
            self._clip = voice.clip("reply-1")

        def hear(self):
            return "Spoken words."

        def respond(self, context):
            seen.append(context)
            return Reply(self._clip.text, self._clip)

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


def test_an_answer_without_a_recording_can_only_be_written():
    class Writer:
        def __init__(self, voice):
            pass

        def hear(self):
            return None

        def respond(self, context):
            return Reply("Words without a recording.")

    driver = Driver(persona=Writer)
    driver.send("response.create", response={"output_modalities": ["text"]})
    driver.run(2.0)
    assert driver.of("response.output_text.done")[0]["text"] == "Words without a recording."
    with pytest.raises(ConfigError, match="without a recording"):
        driver.send("response.create")
