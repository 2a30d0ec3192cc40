"""Translations: events, options, the sides that speak at once, the emulator's, and real calls."""

from __future__ import annotations

import asyncio
import base64
import json
from itertools import count
from random import Random
from typing import Any

import aiohttp
import check_events
import msgspec
import numpy as np
import pytest
from checked import assert_events_are_correct
from emulator_driver import FakeVoice, silence, speech
from hypothesis import given, settings
from hypothesis import strategies as st
from live import KEY, again_if_late, calling, eventually
from test_events_oracle import pairs
from virtual_loop import run

import rtcvoice
from rtcvoice import ConfigError, FileSource, Status, events
from rtcvoice.call.imports import FOR_TRANSLATION
from rtcvoice.config.dialect import config_for
from rtcvoice.config.translation_config import translation_changes
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.listening.kinds import Kinds
from rtcvoice.emulator import Emulator, LiveOptions, Turn, prompt_path
from rtcvoice.emulator.session.outputs import RATE_HZ, Close, PlayAudio, SendEvent
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.translations.session import TranslationSession
from rtcvoice.emulator.translations.settings import validate
from rtcvoice.events import translations
from rtcvoice.live.state.live_state import LiveState
from rtcvoice.translation.meaning import meaning
from rtcvoice.translation.road import TranslationConversation
from rtcvoice.translation.sound import EventSound

# ---- the types of the vendor's package

LENIENT = {
    *(("Session", name) for name in ("audio", "expires_at", "id", "model", "type")),
    ("ErrorDetail", "type"),
    ("NoiseReduction", "type"),
    ("TranscriptionConfig", "model"),
}
"""What the models require and we let be missing, so that a sloppy server costs no event."""

OF_REALTIME = {"ErrorDetail", "ErrorEvent", "TranscriptionConfig"}
"""Structs that serve the Realtime API as well, which has more fields, or others."""


def test_each_event_of_the_api_has_a_struct_with_its_fields() -> None:
    assert translations.SERVER_EVENTS.keys() == check_events.TRANSLATION_SERVER.keys()
    assert translations.CLIENT_EVENTS.keys() == check_events.TRANSLATION_CLIENT.keys()
    seen: set[Any] = set()
    for name, model in check_events.TRANSLATION_SERVER.items():
        for theirs, struct in pairs(model, translations.SERVER_EVENTS[name], seen):
            fields = {f.name: f for f in msgspec.structs.fields(struct)}
            named = set(theirs.model_fields) - ({"type"} if struct.__struct_config__.tag else set())
            assert named <= set(fields)
            assert struct.__name__ in OF_REALTIME or named == set(fields)
            for field in fields.values():
                info = theirs.model_fields.get(field.name)
                needed = info is not None and info.is_required()
                assert needed or not field.required
                lenient = needed and not field.required and field.name != "event_id"
                assert not lenient or (struct.__name__, field.name) in LENIENT
    for name, model in check_events.TRANSLATION_CLIENT.items():
        assert set(model.model_fields) - {"type"} == set(
            translations.CLIENT_EVENTS[name].__struct_fields__
        )


def test_what_we_send_is_what_the_api_takes() -> None:
    for event in (
        translations.SessionUpdate(event_id="a", session={"audio": {"output": {"language": "de"}}}),
        translations.InputAudioAppend(audio="AAAA"),
        translations.SessionClose(),
    ):
        sent = json.loads(translations.encode(event))
        assert check_events.check_event(sent, "translation-client", extra="error") == []
        assert translations.decode_client(translations.encode(event)) == event


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"type": 7}', '{"type": "response.done"}', "\ud800"],
)
def test_what_is_no_event_is_kept_as_an_unknown_one(text: str) -> None:
    assert isinstance(translations.decode(text), events.UnknownEvent)


def test_a_field_that_cannot_be_used_counts_as_missing() -> None:
    text = '{"type": "session.output_transcript.delta", "delta": "a", "elapsed_ms": -5}'
    assert translations.decode(text) == translations.OutputTranscriptDelta(delta="a")


# ---- options


def translation(**options: Any) -> Any:
    return config_for({"api_key": "sk-any", **options})


def test_a_target_language_or_the_model_makes_a_translation() -> None:
    for options in ({"to": "es"}, {"to": "es", "model": "gpt-realtime-translate"}):
        config = translation(**options)
        assert config.is_translation
        assert config.session_payload() == {
            "model": "gpt-realtime-translate",
            "audio": {
                "input": {"transcription": {"model": "gpt-realtime-whisper"}},
                "output": {"language": "es"},
            },
        }
    assert translation(api="translations", model="mine", to="pt-BR").model == "mine"
    assert not translation(model="gpt-realtime-2.1").is_translation
    quiet = translation(to="es", transcription=None, noise_reduction="far_field")
    assert quiet.session_payload()["audio"]["input"] == {
        "transcription": None,
        "noise_reduction": {"type": "far_field"},
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "gpt-realtime-translate"}, "to= is missing"),
        ({"to": "Spanish, please"}, "no code of a language"),
        ({"to": 7}, "no code of a language"),
        ({"to": "es", "model": "gpt-realtime-2"}, "to= is an option of translations"),
        ({"to": "es", "model": "gpt-live-1.1"}, "to= is an option of translations"),
        ({"to": "es", "api": "realtime"}, "to= is an option of translations"),
        ({"to": "es", "backend": "gpt-6-luna"}, "backend= is an option of GPT-Live"),
        ({"to": "es", "direct": True}, "ephemeral tokens"),
        ({"to": "es", "type": "transcription"}, "cannot be used for a translation"),
        ({"to": "es", "temperature": 1}, "beta API"),
        ({"to": "es", "api": "translation"}, "is none of"),
        *(
            ({"to": "es", name: value}, f"a translation has no {name}=")
            for name, value in {
                "voice": "marin",
                "speed": 1.2,
                "instructions": "Translate.",
                "output_modalities": ["text"],
                "max_output_tokens": 5,
                "turn_detection": None,
                "tools": [],
                "tool_choice": "auto",
            }.items()
        ),
    ],
)
def test_an_option_that_a_translation_lacks_is_refused(options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        translation(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"history": [{"role": "user", "text": "Hi."}]}, "remembers nothing"),
        ({"guards": [rtcvoice.Guard(lambda said: None)]}, "nothing stops the interpreter"),
        ({"limits": rtcvoice.Limits(idle=60, nudge="Hello?")}, "says only what was"),
    ],
)
def test_so_is_what_belongs_to_the_call(options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rtcvoice.connect(to="es", source=None, sink=None, api_key=KEY, **options)


def test_what_can_change_is_said_as_the_api_has_it() -> None:
    assert translation_changes({"to": "de", "transcription": "gpt-transcribe"}) == {
        "audio": {
            "input": {"transcription": {"model": "gpt-transcribe"}},
            "output": {"language": "de"},
        }
    }
    for wrong in ({"voice": "marin"}, {"model": "x"}, {"to": ""}, {"session": 7}):
        with pytest.raises(ConfigError):
            translation_changes(wrong)


# ---- both sides speak at once: the state of GPT-Live, told so


class Talk:
    """The state of one translation in virtual time, fed with words and loudness."""

    def __init__(self) -> None:
        numbers = count()
        self.state = LiveState(
            lambda: f"turn{next(numbers)}", model="gpt-realtime-translate", at_once=True, prepaid=0
        )
        self.now = 100.0
        self.began = self.now
        self.final: list[tuple[str, str]] = []
        self.take({"type": "session.created", "session": {"id": "sess_1"}})

    def take(self, event: dict[str, Any]) -> None:
        struct = translations.decode(json.dumps(event))
        self.state.feed(meaning(struct, asked_to_close=False), self.now)

    def say(self, side: str, text: str) -> None:
        elapsed = round((self.now - self.began) * 5) * 200
        kind = f"session.{'input' if side == 'user' else 'output'}_transcript.delta"
        self.take({"type": kind, "delta": text, "elapsed_ms": elapsed})

    def run(self, seconds: float, *, user: bool = False, assistant: bool = False) -> None:
        for _ in range(round(seconds / 0.02)):
            self.state.user_sent(5000 if user else 3, self.now)
            self.state.assistant_heard(5000 if assistant else 0, self.now)
            self.now += 0.02
            self.state.listen(self.now)
            for turn in self.state.turns.take(self.now, partial=False):
                if turn.final:
                    self.final.append((turn.role, turn.text))
                    assert turn.status is Status.COMPLETED


def test_both_languages_come_in_order_though_both_speak_at_once() -> None:
    talk = Talk()
    talk.run(1.0)
    talk.run(1.5, user=True)
    talk.say("user", "Good morning.")
    talk.run(0.5, user=True, assistant=True)
    talk.say("assistant", "Buenos días.")
    talk.run(1.0, user=True, assistant=True)
    talk.say("user", " Please sit down.")
    talk.run(1.3, assistant=True)  # the speaker pauses, the interpreter goes on
    talk.say("assistant", " Siéntense, por favor.")
    talk.run(0.5, user=True, assistant=True)
    talk.run(1.0, user=True)
    talk.say("user", "Thank you.")
    talk.run(0.5)
    talk.say("assistant", "Gracias.")
    talk.run(1.0, assistant=True)
    talk.run(4.0)
    assert talk.final == [
        ("user", "Good morning. Please sit down."),
        ("assistant", "Buenos días. Siéntense, por favor."),
        ("user", "Thank you."),
        ("assistant", "Gracias."),
    ]
    assert talk.state.user.backchannels == talk.state.user.phantoms == 0


def test_an_interpreter_that_never_pauses_follows_the_speaker_s_turns() -> None:
    talk = Talk()
    talk.run(1.0)
    for number in range(3):
        talk.run(1.5, user=True, assistant=number > 0)
        talk.say("user", f"Sentence {number}.")
        talk.run(0.4, assistant=True)
        for word in (f"Frase {number}", ", por", " favor."):
            talk.say("assistant", word)
            talk.run(0.3, assistant=True)
    talk.run(6.0)
    said = [(role, f"{word} {number}{end}") for number in range(3) for role, word, end in SENTENCES]
    assert talk.final == said


SENTENCES = (("user", "Sentence", "."), ("assistant", "Frase", ", por favor."))


def test_a_short_word_beside_the_interpreter_is_a_turn_like_any_other() -> None:
    talk = Talk()
    talk.run(1.0)
    talk.run(1.5, user=True)
    talk.say("user", "Shall we go?")
    talk.run(1.4)
    talk.run(0.3, assistant=True)
    talk.say("assistant", "¿Vamos?")
    talk.run(0.5, user=True, assistant=True)
    talk.say("user", "Yes.")
    talk.run(2.0, assistant=True)
    talk.run(5.0)
    assert ("user", "Yes.") in talk.final  # GPT-Live would take it for a sign of listening


def test_whoever_never_pauses_is_given_sentence_by_sentence() -> None:
    talk = Talk()
    for number in range(20):
        talk.run(2.0, user=True, assistant=True)
        talk.say("user", f" Sentence {number}.")
        talk.say("assistant", f" Frase {number}.")
    assert len(talk.final) >= 4
    talk.run(6.0)
    for side, word in (("user", "Sentence"), ("assistant", "Frase")):
        said = " ".join(text for role, text in talk.final if role == side)
        assert said == " ".join(f"{word} {number}." for number in range(20))


def test_time_is_what_it_costs_and_nothing_is_paid_before() -> None:
    talk = Talk()
    talk.run(3.0)
    used = talk.state.usage(talk.now)
    assert used.seconds == pytest.approx(3.0, abs=0.1)
    assert used.cost == pytest.approx(3.0 * 0.034 / 60, rel=0.05)
    assert ModelPrice(active_minute=0.034) == talk.state.billing.price


def test_a_session_that_ends_by_itself_is_another_end_than_one_that_we_closed() -> None:
    closed = translations.SessionClosed(event_id="e")
    assert meaning(closed, asked_to_close=True).reason == "close_requested"
    assert meaning(closed, asked_to_close=False).reason == "expired"
    error = events.ErrorEvent(error=events.ErrorDetail(message="m", event_id="mine"))
    assert meaning(error, asked_to_close=False).caused_by == "mine"


# ---- sound in events


class Queue:
    """The player's queue, which nobody empties."""

    def __init__(self) -> None:
        self.samples: list[Any] = []
        self.put_index = self.played_index = self.ends = 0

    @property
    def pieces(self) -> int:
        return len(self.samples)

    def put(self, samples: Any) -> None:
        self.samples.append(samples)
        self.put_index += len(samples)

    def ended(self) -> None:
        self.ends += 1


def sound(samples: Any, **fields: Any) -> translations.OutputAudioDelta:
    delta = base64.b64encode(np.asarray(samples, "<i2").tobytes()).decode()
    return translations.OutputAudioDelta(delta=delta, **fields)


def test_sound_in_events_is_played_at_any_rate_and_split_anywhere() -> None:
    queue = Queue()
    reader = EventSound(queue)
    reader.take(sound(range(480)), 0.0)
    assert np.concatenate(queue.samples).tolist() == list(range(480))
    reader.take(sound(np.zeros(4800), sample_rate=48000, channels=2), 0.1)
    assert 1000 < queue.put_index - 480 <= 1200
    before = queue.put_index
    for delta in ("no base64!", "", "AAA=", "AA"):
        reader.take(translations.OutputAudioDelta(delta=delta), 0.2)
    assert queue.put_index - before <= 4
    reader.check(0.3)
    queue.played_index = queue.put_index
    reader.check(1.0)
    assert queue.ends == 1


def test_sound_that_is_far_ahead_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue()
    reader = EventSound(queue)
    minute = sound(np.zeros(60 * RATE_HZ))
    for _ in range(15):
        reader.take(minute, 0.0)
    assert queue.put_index == 600 * RATE_HZ
    assert len(caplog.records) == 1


# ---- the emulator's session, in virtual time


class Session:
    """One session of the emulator, opened; its events are held against the vendor's types."""

    def __init__(self, *, script: Any = (), session: Any = None, **options: Any) -> None:
        voice = FakeVoice()
        voice.texts["no-translation"] = "It cannot translate."
        given = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
        given["audio"]["input"] = {"transcription": {"model": "gpt-realtime-whisper"}}
        self.core = TranslationSession(
            validate(given if session is None else session),
            call_id="rtc_u2_" + "0" * 21,
            now=0.0,
            voice=voice,
            persona=Scripted([Turn(**each) for each in script], voice) if script else None,
            random=Random(1),
            **options,
        )
        self.now = 0.0
        self.events: list[dict[str, Any]] = []
        self.sound: list[Any] = []
        self.over = ""
        self.core.open(self.now)
        self.gather()

    def gather(self) -> None:
        for output in self.core.drain():
            match output:
                case SendEvent(event):
                    found = check_events.check_event(event, "translation-server", extra="error")
                    assert found == []
                    assert "session.closed" not in self.kinds
                    self.events.append(event)
                case PlayAudio(samples):
                    self.sound.append(samples)
                case Close(reason):
                    self.over = reason

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def words(self, side: str) -> str:
        kind = f"session.{side}_transcript.delta"
        return "".join(event["delta"] for event in self.events if event["type"] == kind)

    def send(self, kind: str, **fields: Any) -> None:
        self.core.receive_text(json.dumps({"type": kind, **fields}), self.now)
        self.gather()

    def hear(self, samples: Any) -> None:
        for start in range(0, len(samples), 480):
            self.now += 0.02
            self.core.receive_audio(samples[start : start + 480], self.now)
            self.gather()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.core.advance(self.now)
        self.gather()


def test_the_emulator_says_that_it_cannot_translate() -> None:
    session = Session()
    assert session.kinds == ["session.created"]
    shown = session.events[0]["session"]
    assert (shown["type"], shown["audio"]["output"]) == ("translation", {"language": "es"})
    session.hear(np.concatenate([speech(1.5), silence(5)]))
    assert session.words("output") == "It cannot translate."
    assert session.words("input")
    assert np.abs(np.concatenate(session.sound)).max() > 1000
    for kind in ("input", "output"):
        told = [e["elapsed_ms"] for e in session.events if kind in e["type"]]
        assert told == sorted(told)
        assert all(at % 200 == 0 for at in told)


def test_a_script_has_the_translation_and_the_speaker_goes_on_meanwhile() -> None:
    session = Session(
        script=[
            {"hears": "Good morning.", "says": "Buenos días."},
            {"hears": "Sit down.", "says": "Siéntense."},
        ]
    )
    session.hear(np.concatenate([speech(1), silence(0.6), speech(1), silence(5)]))
    assert session.words("input").split() == ["Good", "morning.Sit", "down."]
    assert session.words("output") == "Buenos días.Siéntense."


def test_without_transcription_the_words_of_the_speaker_do_not_come() -> None:
    session = Session(session={"model": "gpt-realtime-translate"})
    session.hear(np.concatenate([speech(1.5), silence(4)]))
    assert not session.words("input")
    assert session.words("output")
    session.send(
        "session.update",
        session={
            "audio": {"input": {"transcription": {"model": "m"}}, "output": {"language": "de"}}
        },
    )
    updated = session.events[-1]
    assert updated["type"] == "session.updated"
    assert updated["session"]["audio"]["output"] == {"language": "de"}
    session.hear(np.concatenate([speech(1.5), silence(4)]))
    assert session.words("input")


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.create"}, "invalid_value"),
        ({"type": "conversation.item.create", "item": {}}, "invalid_value"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "invalid_value"),
        ({"type": "session.input_audio_buffer.append", "audio": ""}, "invalid_value"),
        ({"type": "session.update"}, "missing_required_parameter"),
        ({"type": "session.update", "session": {"model": "other"}}, "unknown_parameter"),
        ({"type": "session.update", "session": {"type": "translation"}}, "unknown_parameter"),
        (
            {"type": "session.update", "session": {"audio": {"output": {"voice": "marin"}}}},
            "unknown_parameter",
        ),
        (
            {"type": "session.update", "session": {"audio": {"output": {"language": "Spanish!"}}}},
            "invalid_value",
        ),
        ({"type": ["x"]}, "invalid_value"),
    ],
)
def test_what_no_translation_knows_is_refused(event: dict[str, Any], code: str) -> None:
    session = Session()
    session.core.receive_text(json.dumps({"event_id": "mine", **event}), 0.0)
    session.gather()
    error = session.events[-1]["error"]
    assert (error["code"], error["event_id"]) == (code, "mine")


def test_the_end_waits_until_all_was_translated() -> None:
    session = Session()
    session.hear(np.concatenate([speech(1.5), silence(0.2)]))
    session.send("session.close")
    assert "session.closed" not in session.kinds
    session.send("session.close")
    assert session.events[-1]["type"] == "error"
    session.hear(silence(6))
    assert session.kinds[-1] == "session.closed"
    assert session.words("output") == "It cannot translate."
    session.wait(1.0)
    assert session.over == "closed"


def test_on_a_socket_the_sound_is_in_events_and_the_end_needs_no_silence() -> None:
    session = Session(on_socket=True)
    samples = np.concatenate([speech(1.5), silence(0.2)])
    audio = base64.b64encode(samples.astype("<i2").tobytes()).decode()
    session.send("session.input_audio_buffer.append", audio=audio)
    session.send("session.close")
    assert session.kinds[-1] == "session.closed"
    assert session.words("output") == "It cannot translate."
    sent = [e for e in session.events if e["type"] == "session.output_audio.delta"]
    spoken = np.concatenate([np.frombuffer(base64.b64decode(e["delta"]), "<i2") for e in sent])
    assert np.abs(spoken).max() > 1000
    assert {(e["sample_rate"], e["channels"], e["format"]) for e in sent} == {(24000, 1, "pcm16")}


def test_its_time_is_over_with_an_error() -> None:
    session = Session(duration=5.0)
    session.wait(5.1)
    assert session.events[-1]["error"]["code"] == "session_expired"
    assert session.over == "session_expired"


# ---- over the network

QUICK = LiveOptions(hearing_delay=0.1, reply_after=0.2)
SCRIPT = [Turn(clip="stop", says="talk"), Turn(clip="stop", says="reply-3")]


async def test_who_may_begin_one() -> None:
    session = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
    async with Emulator() as server, aiohttp.ClientSession() as http:
        key = {"Authorization": f"Bearer {KEY}"}
        root = f"{server.url}/realtime/translations"

        async def post(path: str, *, token: str = KEY, **request: Any) -> tuple[int, Any]:
            shown = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
            async with http.post(root + path, headers=shown, **request) as answer:
                text = await answer.text()
                return answer.status, json.loads(text) if text.startswith("{") else text

        status, minted = await post("/client_secrets", json={"session": session})
        assert status == 200
        assert minted["session"]["type"] == "translation"
        assert minted["value"].startswith("ek_")
        for wrong, expected in (
            ({"session": {**session, "model": "gpt-realtime-2.1"}}, (404, "model_not_found")),
            ({"session": {**session, "type": "translation"}}, (400, "unknown_parameter")),
            ({"session": {"audio": {}}}, (400, "missing_required_parameter")),
            ({}, (400, "missing_required_parameter")),
        ):
            status, body = await post("/client_secrets", json=wrong)
            assert (status, body["error"]["code"]) == expected
        sdp = {"headers": {"Content-Type": "application/sdp"}, "data": "v=0\r\n"}
        assert (await post("/calls", **sdp))[0] == 401  # the key does not do
        async with http.post(
            f"{server.url}/realtime/client_secrets",
            headers=key,
            json={"session": {"type": "realtime"}},
        ) as answer:
            other = (await answer.json())["value"]
        assert (await post("/calls", token=other, **sdp))[0] == 401
        status, body = await post(
            "/calls?model=gpt-realtime-translate", token=minted["value"], **sdp
        )
        assert (status, body["error"]["code"]) == (400, "unknown_parameter")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{root}?model=gpt-realtime-2.1", headers=key)
        assert refused.value.status == 404


@again_if_late
async def test_a_call_by_each_way() -> None:
    async with Emulator(seed=1, audio="instant", live=QUICK) as server:
        await asyncio.gather(_call(server, "webrtc"), _call(server, "websocket"))
        for emulated in server.calls.values():
            kinds = [event["type"] for event in emulated.from_server()]
            assert (kinds[0], kinds[-1]) == ("session.created", "session.closed")
            updated = emulated.from_server("session.updated")[-1]["session"]["audio"]
            assert updated["output"] == {"language": "de"}
            assert updated["input"]["transcription"] == {"model": "gpt-realtime-whisper"}
        assert_events_are_correct(server)


async def _call(server: Emulator, transport: str) -> None:
    source = FileSource(prompt_path("stop"))
    async with calling(server, to="es", source=source, transport=transport) as call:
        heard, said = call.audio(), dict[str, str]()
        changed = await call.update(to="de")
        assert changed.type == "translation"
        async with asyncio.timeout(15):
            async for turn in call.turns(partial=True):
                said[turn.role] = turn.text
                if said.get("assistant", "").endswith("translate."):
                    break
        assert said == {
            "user": "Stop, please.",
            "assistant": "This is a local emulator. It cannot translate.",
        }
        async for block in heard:
            if np.abs(block.samples).max() > 1000:
                break
        call.mute()
        assert call.muted
        call.unmute()
        assert call.usage.cost


async def test_what_an_interpreter_cannot_be_asked_says_what_takes_its_place() -> None:
    async with Emulator() as server, calling(server, to="es") as call:
        for asked in (
            call.send("Hi."),
            call.ask("Hi."),
            call.say("Hi."),
            call.respond(),
            call.think("Hi."),
            call.instruct("Hi."),
            call.interrupt(),
            call.seed([]),
            call.delete("x"),
            call.update(instructions="x"),
            call.send_event({"type": "response.create"}),
            call.send_event({"type": "session.input_audio_buffer.append", "audio": ""}),
        ):
            with pytest.raises(ConfigError) as refused:
                await asked
            assert refused.value.hint
        with pytest.raises(ConfigError):
            call.resume_after_noise()
        with pytest.raises(ConfigError):
            call.fork()
        with pytest.raises(rtcvoice.ServerError):
            await call.update(session={"audio": {"output": {"voice": "marin"}}})
        await call.send_event(translations.SessionClose())
        reason = await call.wait_ended()
        assert reason.normal


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
async def test_another_session_takes_over_with_what_was_changed(transport: str) -> None:
    async with Emulator(seed=1) as server:
        again = rtcvoice.Reconnect(window=20)
        async with calling(server, to="es", transport=transport, reconnect=again) as call:
            await call.update(to="de")
            reconnected = asyncio.create_task(call.wait_for(events.Reconnected, timeout=30))
            await asyncio.sleep(0)
            from rtcvoice.emulator.faults import Strike

            server.calls[next(iter(server.calls))].strike(Strike.CLOSE_CHANNEL)
            await reconnected
            newest = list(server.calls.values())[-1]
            await eventually(
                lambda: newest.peer._session.settings["audio"]["output"] == {"language": "de"}
            )
            assert [leg.id for leg in call.legs if leg.id] == [leg.id for leg in call.legs]
        assert len(server.calls) == 2


def test_patterns_of_its_events_are_known(caplog: pytest.LogCaptureFixture) -> None:
    assert Kinds("session.output_transcript.*").match(translations.OutputTranscriptDelta(delta="a"))
    assert not caplog.records
    Kinds("session.output_transkript.*")
    assert "did you mean 'session.output_transcript.delta'" in caplog.text


def test_what_a_translation_needs_is_imported_by_its_name() -> None:
    assert all(name.startswith("rtcvoice.") for name in FOR_TRANSLATION)


# ---- what an enemy, or a sloppy server, would send

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_odd_number = st.integers(-(2**60), 2**60) | st.none() | st.text(max_size=3) | st.floats()
_from_server = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(translations.SERVER_EVENTS))},
    optional={
        "delta": st.text(max_size=12) | _json,
        "elapsed_ms": _odd_number,
        "channels": _odd_number,
        "sample_rate": _odd_number,
        "session": _json,
        "error": _json,
        "event_id": st.text(max_size=2),
    },
)
_from_client = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(translations.CLIENT_EVENTS))},
    optional={"audio": st.text(max_size=12) | _json, "session": _json, "event_id": _json},
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_from_server | _json, min_size=1, max_size=12))
def test_no_event_of_a_server_breaks_the_conversation(messages: list[Any]) -> None:
    async def call() -> None:
        loop = asyncio.get_running_loop()
        talk = TranslationConversation(Ear(), model="gpt-realtime-translate", clock=loop.time)
        errors: list[Any] = []
        queue = Queue()
        talk.attach(Leg(), queue)
        talk.receive('{"type": "session.created", "session": {"id": "sess_1"}}')
        await talk.ready()
        talk.dispatcher.listeners.append(errors.append)
        for message in messages:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("rtcvoice.live.road.log_error", _raise)
                talk.receive(json.dumps(message))
            talk.sent_sound(0, loop.time())
            await asyncio.sleep(0.2)
        talk.end(rtcvoice.CallEnded("over", normal=True))
        await talk.aclose()
        assert talk.session.type
        assert isinstance(talk.history, list)

    run(call())


def _raise(logger: Any, error: BaseException, *rest: Any) -> None:
    raise AssertionError from error


class Leg:
    """Takes everything, and answers nothing."""

    progress = (0, 0)
    round_trip = 0.0
    message_limit = 65536

    def send(self, text: str) -> None:
        json.loads(text)


class Ear:
    rate = 24000
    latency = held = 0.0
    sound = None

    async def listen(self) -> Any:
        await asyncio.Event().wait()
        yield

    def flush(self) -> None: ...

    def resume(self) -> None: ...


@settings(deadline=None, max_examples=60)
@given(st.booleans(), st.lists(_from_client | _json, min_size=1, max_size=6))
def test_no_event_of_a_client_breaks_the_emulator(on_socket: bool, messages: list[Any]) -> None:
    session = Session(on_socket=on_socket)
    for message in messages:
        session.core.receive_text(json.dumps(message), session.now)
        session.gather()
    session.hear(silence(0.4))


# ---- devices without the key, recordings


async def test_a_token_server_mints_for_translations() -> None:
    from rtcvoice.token_server.server import TokenServer

    async with Emulator() as server:
        options = {"model": "gpt-realtime-translate", "to": "es"}
        given = {"api_key": KEY, "base_url": server.url, **options}
        async with TokenServer(given) as minting:
            credentials = rtcvoice.TokenUrl(minting.url)
            for transport in ("webrtc", "websocket"):
                asked = {"to": "es", "credentials": credentials, "transport": transport}
                async with calling(server, **asked) as call:
                    assert call.session.model == "gpt-realtime-translate"


async def test_a_recording_of_a_translation_says_that_it_cannot_be_replayed(tmp_path: Any) -> None:
    async with Emulator() as server, calling(server, to="es", record=str(tmp_path)):
        pass
    (folder,) = tmp_path.iterdir()
    with pytest.raises(ConfigError, match="is a translation: it has no turns"):
        rtcvoice.ReplaySource(folder)
