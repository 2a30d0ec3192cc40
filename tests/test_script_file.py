"""Scripts are read from YAML, and an error names the line and the cure."""

import re
from pathlib import Path

import pytest
from emulator_driver import FakeVoice
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator import Emulator, Faults
from rtcvoice.emulator.session.plan import Failure
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.script_file import load_script, parse_script, read_script
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.emulator.voice import PromptVoice, prompt_path
from rtcvoice.errors import ConfigError, RtcVoiceError

EVERYTHING = """
faults:
  reply_delay: 0.5
turns:
  - hears: What is the weather in Paris and Rome?
    clip: ask-weather
    says: [one-moment, "Let me see."]
    calls:
      - get_weather: {city: Paris}
      - get_weather: {city: Rome}
      - get_time
    wait: 1
    transcript: after
    then:
      says: It is {result.temperature} degrees.
  - says: talk
    interrupted: yes
  - fails: {code: server_error, after: 0, message: Broken.}
  - {says: reply-1, stalls_after: 3}
  - lost: true
  - refused: server_error
  - expires: on
"""


def test_everything_can_be_written():
    script = parse_script(EVERYTHING)
    assert script.faults == {"reply_delay": 0.5}
    assert script.turns == [
        Turn(
            hears="What is the weather in Paris and Rome?",
            clip="ask-weather",
            says=("one-moment", "Let me see."),
            calls=(
                {"get_weather": {"city": "Paris"}},
                {"get_weather": {"city": "Rome"}},
                "get_time",
            ),
            wait=1,
            transcript="after",
            then=Turn(says=("It is {result.temperature} degrees.",)),
        ),
        Turn(says=("talk",), interrupted=True),
        Turn(fails=Failure("server_error", 0, "Broken.")),
        Turn(says=("reply-1",), stalls_after=3),
        Turn(lost=True),
        Turn(refused="server_error"),
        Turn(expires=True),
    ]
    Scripted(script.turns, PromptVoice())


def test_a_file_is_read_and_its_audio_is_beside_it(tmp_path):
    (tmp_path / "hi.ogg").write_bytes(prompt_path("stop").read_bytes())
    path = tmp_path / "script.yaml"
    path.write_text("- {hears: Hi., clip: hi.ogg, says: [hi.ogg, reply-1, Version 2.txt is out.]}")
    (turn,) = load_script(path)
    assert turn.clip == str(tmp_path / "hi.ogg")
    assert turn.says == (str(tmp_path / "hi.ogg"), "reply-1", "Version 2.txt is out.")
    Scripted(read_script(path, PromptVoice()).turns, PromptVoice())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("hears: x", "line 1: unknown key 'hears'"),
        ("just words", "line 1: a script is a list of turns"),
        ("", "script: a script is a list of turns"),
        ("faults: {}", "a script is a list of turns"),
        ("faults: 3\nturns: []", "line 1: faults is not a mapping"),
        ("- says: x\n- just words", "line 2: a turn has the keys hears"),
        ("- hears: x\n  say: y", "line 2: unknown key 'say'"),
        ("- hears: x\n  hears: y", "line 2: 'hears' is there twice"),
        ("- ? [1, 2]\n  : y", "line 1: unknown key"),
        ("- hears: 12", "line 1: hears is not text"),
        ("- says: {text: x}", "line 1: says is not something to say"),
        ("- says: [x, 3]", "line 1: says is not something to say"),
        ("- wait: -1", "line 1: wait is not a number of seconds"),
        ("- wait: .nan", "line 1: wait is not a number of seconds"),
        ("- interrupted: maybe", "line 1: interrupted is not yes or no"),
        ("- says: x\n  stalls_after: 1.5", "line 2: stalls_after is not a number of words"),
        ("- transcript: later", "line 1: transcript is not a moment"),
        ("- calls: {look: 3}", "line 1: the arguments of a call are a mapping"),
        ("- calls:\n    look: {day: 2026-01-01}", "line 2: these arguments are not JSON"),
        ("- calls: 3", "line 1: calls needs the names of functions"),
        ("- fails: {after: 3}", "line 1: fails without a code"),
        ("- fails: {code: x, after: soon}", "line 1: after is 'soon'"),
        ("- fails: [x]", "line 1: fails has the keys"),
        ("- then: {says: x, than: {}}", "line 1: unknown key 'than'"),
        ("- &a\n  then: *a", "nested too deeply"),
        ("- hears: !!python/object:os.system x", "line 1: this value cannot be read"),
        ("- hears: [\n", "line 2: this is not YAML"),
        ("- hears: *nobody", "line 1: this is not YAML"),
        ("- hears: \x00", "this is not YAML"),
    ],
)
def test_a_faulty_script_says_where_and_how_to_mend_it(text, place):
    with pytest.raises(ConfigError) as caught:
        parse_script(text)
    assert place in str(caught.value)
    assert "unicode string" not in str(caught.value)  # which is no name of a file
    assert caught.value.hint


def test_the_script_in_the_guide_can_be_played():
    page = Path(__file__).parent.parent / "rtcvoice" / "emulator" / "README.md"
    guide = page.read_text(encoding="utf-8")
    scripts = re.findall(r"^```yaml\n(- hears: .*?)^```", guide, re.DOTALL | re.MULTILINE)
    turns, *others = [parse_script(text, voice=PromptVoice()).turns for text in scripts]
    assert [call.name for call in turns[0].calls] == ["get_weather"]
    assert len(turns) == 7
    assert all(others)


def test_the_faults_of_a_file_are_the_emulators_unless_it_is_given_others(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(EVERYTHING)
    assert Emulator(script=path).faults == Faults(reply_delay=0.5)
    assert Emulator(script=path, faults=Faults(http_delay=1.0)).faults == Faults(http_delay=1.0)
    path.write_text("faults: {reply_late: 1}\nturns: []")
    with pytest.raises(ConfigError, match="reply_late"):
        Emulator(script=path)


def test_a_near_miss_is_guessed():
    with pytest.raises(ConfigError) as caught:
        parse_script("- intrerupted: yes")
    assert caught.value.hint.startswith("did you mean 'interrupted'?")


def test_with_a_voice_an_unknown_prompt_has_a_line_too():
    with pytest.raises(ConfigError, match="script, line 2: there is no prompt or file 'nobody'"):
        parse_script("- says: reply-1\n- says: nobody", voice=FakeVoice())


def test_a_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_script(tmp_path / "nothing.yaml")


def test_a_file_that_is_not_text_is_a_config_error(tmp_path):
    (tmp_path / "sound.ogg").write_bytes(b"OggS\xff")
    with pytest.raises(ConfigError, match="is not text"):
        load_script(tmp_path / "sound.ogg")


_keys = ["hears", "says", "calls", "then", "fails", "wait", "turns", "faults", "clip", "x"]
_yaml = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_keys), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=150)
@given(st.lists(_yaml, max_size=3) | _yaml)
def test_any_yaml_is_a_script_or_a_clear_error(value):
    import yaml

    _read(yaml.safe_dump(value))


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="-{}[]:,'\"#&*!|> \nhearsyx1", max_size=40))
def test_any_text_is_a_script_or_a_clear_error(text):
    _read(text)


def _read(text):
    turns, fault = [], None
    try:
        turns = parse_script(text).turns
    except RtcVoiceError as exc:
        fault = exc
    assert fault is None or fault.hint
    assert all(isinstance(turn, Turn) for turn in turns)
