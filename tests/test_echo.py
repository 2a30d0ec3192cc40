"""The echo canceller in a virtual room: it does not hear itself, and hears the user over itself."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from echo_scene import RATE, Heard, Nothing, Scene, at_level, echo_gain, level_db, run
from fake_portaudio import FakeDevice, FakePortAudio, fake_host, on_host
from hypothesis import given, settings
from hypothesis import strategies as st

import rtcvoice
from rtcvoice.call.ends import Ends
from rtcvoice.capture.echo import conditioning
from rtcvoice.capture.echo.canceller import EchoCanceller, NoiseAndGain
from rtcvoice.capture.echo.conditioning import Conditioning, NoConditioning, conditioner
from rtcvoice.capture.echo.double_talk import HOLD, DoubleTalk, Evidence
from rtcvoice.capture.echo.far_reference import FarReference
from rtcvoice.capture.echo.half_duplex import HalfDuplex
from rtcvoice.capture.echo.linear_echo import NOTHING, LinearEcho
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.sound.samples import Block
from rtcvoice.sound.timed_ring import TimedRing

BLOCK = RATE // 50
USER_DBFS = -30.0
ALONE = 9.0


def spoken(*names: str) -> np.ndarray:
    voice = PromptVoice()
    return np.concatenate([voice.clip(name).samples for name in names])


def scene(echo_db: float, *, seconds: float = 14.0, **trouble) -> tuple[Scene, list[float]]:
    """The assistant talks on; after 9 s the user says "Stop, please." and "Thanks" over it."""
    assistant = at_level(spoken("talk")[: int(seconds * RATE)], -23)
    assistant = np.rint(np.clip(assistant, -32768, 32767)).astype(np.int16)
    user, begins = np.zeros(len(assistant)), []
    for begin, name in ((ALONE + 0.6, "stop"), (ALONE + 3.2, "thanks")):
        room = user[int(begin * RATE) :][: int(1.2 * RATE)]
        said = at_level(spoken(name), USER_DBFS)
        said = said[int(np.argmax(np.abs(said) > 300)) :]  # begin with the first sound
        room += said[: len(room)]
        begins.append(begin)
    return Scene(assistant, user, echo_gain(assistant, USER_DBFS + echo_db), **trouble), begins


def cancelled(scene: Scene, **options) -> Heard:
    return run(scene, lambda ring: EchoCanceller(ring, rate=RATE), **options)


@pytest.fixture(scope="module")
def loud() -> tuple[Heard, list[float]]:
    """The loudspeaker is 9 dB louder than the user, and gives way as in a call."""
    played, begins = scene(9.0)
    return cancelled(played, duck_db=8.0), begins


def test_without_cancellation_it_interrupts_itself():
    played, _ = scene(0.0, seconds=5.0)
    assert run(played, lambda ring: Nothing()).onsets[0] < ALONE


def test_it_does_not_hear_itself(loud):
    heard, _ = loud
    span = slice(int(4 * RATE), int(ALONE * RATE))
    assert level_db(heard.microphone[span]) > -26
    assert level_db(heard.echo[span]) - level_db(heard.output[span]) > 35
    assert not [at for at in heard.onsets if at < ALONE]


def test_the_user_is_noticed_over_a_loudspeaker_that_is_louder(loud):
    heard, begins = loud
    for begin in begins:
        assert [at for at in heard.onsets if begin < at < begin + 0.4], heard.onsets


def test_the_user_comes_through_whole(loud):
    """What AEC3 alone keeps of these 20 ms pieces is a third of it."""
    heard, begins = loud
    played, _ = scene(9.0)
    delay = 223
    kept = []
    for begin in begins:
        at = int(begin * RATE)
        user = played.user[at : at + RATE].reshape(-1, BLOCK)
        output = heard.output[at + delay : at + delay + RATE].astype(float).reshape(-1, BLOCK)
        power = (user**2).mean(axis=1)
        active = power > power.max() / 300
        kept.append(((output**2).mean(axis=1) > power / 10)[active].mean())
    assert np.mean(kept) > 0.65, kept


@pytest.mark.parametrize(
    "trouble",
    [{"drift_ppm": 80.0}, {"underruns": ((5.0, 0.05),)}, {"volume": ((5.0, -8.0),)}],
    ids=["drift", "underrun", "volume"],
)
def test_what_happens_to_devices_makes_no_barge_in(trouble):
    played, begins = scene(0.0, seconds=11.0, **trouble)
    heard = cancelled(played)
    assert not [at for at in heard.onsets if at < ALONE]
    assert [at for at in heard.onsets if at > begins[0]]


def test_a_user_alone_is_not_changed():
    """Nor is one who speaks before the assistant ever did."""
    played, begins = scene(0.0, seconds=12.0)
    silent = Scene(np.zeros_like(played.assistant), played.user, 0.0)
    heard = cancelled(silent)
    at = int(begins[0] * RATE)
    user = played.user[at : at + RATE]
    output = heard.output[at + 223 : at + 223 + RATE].astype(float)
    assert abs(level_db(output) - level_db(user)) < 1
    assert user @ output / np.sqrt((user @ user) * (output @ output)) > 0.8


class Engine:
    """An echo canceller that does nothing, and remembers what it was given."""

    def __init__(self) -> None:
        self.far: list[np.ndarray] = []

    def process(self, near, far):
        self.far.append(far)
        return near


def test_times_account_for_the_delay_and_indices_do_not():
    canceller = EchoCanceller(TimedRing(48000), rate=48000, engine=Engine())
    block = canceller.process(Block(np.zeros(960, np.int16), 9600, 5.0))
    assert block.index == 9600
    assert block.time == pytest.approx(5.0 - canceller.delay)
    assert 0.007 < canceller.delay < 0.011


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
def test_the_delay_of_aec3_is_what_we_think(rate):
    """The linear filter's output is crossfaded with AEC3's: they have to be in step."""
    noise = np.random.default_rng(1).standard_normal(2 * rate) * 2000
    noise = np.convolve(noise, np.hanning(9) / 4, "same").astype(np.int16)
    canceller = EchoCanceller(TimedRing(rate), rate=rate)
    size = rate // 50
    out = np.concatenate(
        [
            canceller.process(Block(noise[at : at + size], at, at / rate)).samples
            for at in range(0, len(noise), size)
        ]
    )
    sent, got = noise[rate : rate + rate // 2].astype(float), out.astype(float)
    likeness = [sent @ got[rate + lag : rate + lag + len(sent)] for lag in range(size)]
    assert abs(int(np.argmax(likeness)) - canceller.delay * rate) <= 2


# -- the reference ----------------------------------------------------------------------------


def ramp(start: int, count: int) -> np.ndarray:
    return (1000 * np.sin(np.arange(start, start + count) * 0.05)).astype(np.int16)


def follow(reference, ring, *, blocks, rate=24000, latency=0.04, jitter=(), gap=None):
    """Run speaker and microphone side by side; return what the reference gave."""
    written, late, given = 0, 0.0, []
    for number in range(blocks):
        for _ in range(2):
            if gap is not None and written == gap[0]:
                late += gap[1]
            time = written / ring.rate + latency + late
            off = jitter[written // 240 % len(jitter)] if jitter else 0.0
            ring.write(ramp(written, ring.rate // 100), 100.0 + time + off)
            written += ring.rate // 100
        size = rate // 50
        block = Block(np.zeros(size, np.int16), number * size, 100.0 + number * 0.02 - 0.005)
        given.append(reference.read(block))
    return np.concatenate(given)


def test_the_reference_has_no_seam_whatever_the_times_jitter():
    ring = TimedRing(24000)
    reference = FarReference(ring, rate=24000)
    given = follow(reference, ring, blocks=100, jitter=(0.0, 0.003, -0.003, 0.006, -0.001))
    assert reference.synchronised == 1
    steps = np.abs(np.diff(given[3000:].astype(int)))
    assert steps.max() <= 60  # the slope of the sine is 50 a sample


def test_the_reference_can_run_slower_between_the_samples():
    ring = TimedRing(24000, seconds=20)
    reference = FarReference(ring, rate=24000)
    reference.slow_down(100e-6)
    given = follow(reference, ring, blocks=500)
    assert reference.synchronised == 1
    assert np.abs(np.diff(given[3000:].astype(int))).max() <= 60
    # After 9 s it is 0.9 ms behind: 21.6 samples of a sine of 0.05 a sample.
    place = np.arange(9 * 24000, 9 * 24000 + 480)
    lead = (0.02 - 0.04 - 0.005) * 24000
    expected = 1000 * np.sin((place + lead - 9 * 24000 * 100e-6) * 0.05)
    assert np.abs(given[place] - expected).max() < 60


def test_steadily_wrong_times_are_believed_in_the_end():
    ring = TimedRing(24000, seconds=20)
    reference = FarReference(ring, rate=24000)
    follow(reference, ring, blocks=50)
    counts = []
    for number in range(50, 150):
        ring.write(ramp(0, 480), 100.0 + number * 0.02 + 0.04 + 0.1)
        reference.read(Block(np.zeros(480, np.int16), number * 480, 100.0 + number * 0.02 - 0.005))
        counts.append(reference.synchronised)
    assert counts[0] < counts[20] == counts[-1]


def test_the_movement_of_an_echo_path_is_measured():
    """A clock 40 ppm off moves the path by 40 us in a second."""
    random = np.random.default_rng(2)
    sound = np.convolve(random.standard_normal(6 * 16000) * 3000, np.hanning(5) / 2, "same")
    place = np.arange(5 * 16000) * (1 - 40e-6) - 100.0
    near = (0.5 * np.interp(place, np.arange(len(sound)), sound)).astype(np.int16)
    far, filtering = sound[: len(near)].astype(np.int16), LinearEcho(16000, 320)
    moved = []
    for number in range(250):
        at = slice(number * 320, number * 320 + 320)
        filtering.process(near[at], far[at])
        if number % 25 == 24:
            moved.append(filtering.path_change())
    assert np.mean(moved[-4:]) / 0.5 == pytest.approx(40e-6, rel=0.25)


def test_a_dropout_moves_the_reference_once():
    ring = TimedRing(24000)
    reference = FarReference(ring, rate=24000)
    follow(reference, ring, blocks=150, gap=(24000, 0.05))
    assert reference.synchronised <= 3


@pytest.mark.parametrize("ring_rate", [48000, 16000])
def test_a_speaker_of_another_rate_is_converted(ring_rate):
    ring = TimedRing(ring_rate)
    reference = FarReference(ring, rate=24000)
    given = follow(reference, ring, blocks=50)
    assert len(given) == 50 * 480
    assert np.abs(given[5000:]).max() > 900


def test_before_anything_was_played_the_reference_is_silence():
    assert (
        not FarReference(TimedRing(48000), rate=24000)
        .read(Block(np.zeros(480, np.int16), 0, 1.0))
        .any()
    )


# -- the linear filter ------------------------------------------------------------------------


def taught(rate: int, far: np.ndarray, near: np.ndarray) -> tuple[LinearEcho, np.ndarray]:
    filtering, size = LinearEcho(rate, rate // 50), rate // 50
    rests = [
        filtering.process(near[at : at + size], far[at : at + size])
        for at in range(0, len(far), size)
    ]
    return filtering, np.concatenate(rests)


def test_the_filter_learns_a_path_and_keeps_a_voice():
    random = np.random.default_rng(7)
    far = (random.standard_normal(4 * 16000) * 3000).astype(np.int16)
    echo = np.convolve(far, [0] * 700 + [0.5, 0.2, -0.1])[: len(far)]
    voice = np.zeros(len(far))
    voice[48000:] = 3000 * np.sin(np.arange(16000) * 0.2)
    _, rest = taught(16000, far, (echo + voice).astype(np.int16))
    assert level_db(rest[32000:48000] * 32768) < level_db(echo[32000:48000]) - 25
    kept = rest[49000:] * 32768
    assert level_db(kept - voice[49000:]) < level_db(voice[49000:]) - 15


def test_a_loudspeaker_that_is_switched_on_late_is_still_learnt():
    """Sure that there is no path, a Kalman filter would never look for one again."""
    random = np.random.default_rng(7)
    far = (random.standard_normal(8 * 16000) * 3000).astype(np.int16)
    echo = np.convolve(far, [0] * 300 + [0.5])[: len(far)]
    echo[: 4 * 16000] = 0
    _, rest = taught(16000, far, echo.astype(np.int16))
    assert level_db(rest[7 * 16000 :] * 32768) < level_db(echo[7 * 16000 :]) - 15


def test_silence_costs_nothing_and_forgets_nothing():
    filtering = LinearEcho(16000, 320)
    quiet, voice = np.zeros(320, np.int16), np.full(320, 1000, np.int16)
    for _ in range(30):
        rest = filtering.process(voice, quiet)
    assert filtering.latest == NOTHING
    np.testing.assert_allclose(rest * 32768, voice)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([0, 1, -32768, 32767]), min_size=1, max_size=40), st.integers(0, 9))
def test_no_sound_breaks_the_canceller(levels, seed):
    random, ring = np.random.default_rng(seed), TimedRing(8000)
    canceller = EchoCanceller(ring, rate=8000)
    for number, size in enumerate(levels):
        noise = random.integers(-abs(size), abs(size) + 1, 160).clip(-32768, 32767)
        ring.write(noise.astype(np.int16), 1.0 + number * 0.02)
        given = Block(np.full(160, size, np.int16), number * 160, 1.0 + number * 0.02)
        block = canceller.process(given)
        assert block.samples.dtype == np.int16
        assert len(block.samples) == 160


# -- who speaks -------------------------------------------------------------------------------

ECHO = Evidence(heard=-25, echo=-25, rest=-45, passed=-70, correlation=0.1)
BOTH = Evidence(heard=-22, echo=-25, rest=-26, passed=-40, correlation=0.1)
MOVED = Evidence(heard=-25, echo=-25, rest=-22, passed=-50, correlation=0.8)


def experienced() -> DoubleTalk:
    detector = DoubleTalk()
    for _ in range(150):
        assert not detector(ECHO)
    assert detector.converged
    return detector


def test_a_voice_is_believed_when_both_hear_it():
    detector = experienced()
    assert detector(BOTH)
    assert not experienced()(BOTH._replace(passed=-70))
    assert not experienced()(BOTH._replace(rest=-44))


def test_nobody_is_believed_before_the_room_is_known():
    assert not any(DoubleTalk()(BOTH) for _ in range(10))


def test_a_voice_may_pause_for_a_moment():
    detector = experienced()
    detector(BOTH)
    spoken = [detector(ECHO) for _ in range(20)]
    assert sum(spoken) == HOLD - 1


def test_a_room_that_changed_is_no_voice():
    detector = experienced()
    assert not detector(MOVED)
    assert detector.diverged
    assert not detector(BOTH), "for a moment after it nobody is believed"
    for _ in range(5):
        detector(MOVED)
    assert not detector.converged


def test_the_beginning_is_doubtful_only_while_aec3_takes_much_away():
    detector = DoubleTalk()
    detector(ECHO)
    assert detector.aec_unconverged
    alone = Evidence(heard=-30, echo=-90, rest=-30, passed=-30, correlation=0.0)
    for _ in range(10):
        detector(alone)
    assert not detector.aec_unconverged
    assert not experienced().aec_unconverged


# -- what is chosen ---------------------------------------------------------------------------


def test_conditioning_is_what_was_asked_for():
    ring = TimedRing(48000)
    chosen = conditioner(Conditioning(), rate=48000, speaker=ring)
    assert isinstance(chosen, EchoCanceller)
    assert isinstance(conditioner(Conditioning(), rate=48000, speaker=None), NoConditioning)
    off = Conditioning(echo_cancellation=False)
    assert isinstance(conditioner(off, rate=48000, speaker=ring), NoConditioning)


def test_noise_suppression_and_gain():
    random = np.random.default_rng(3)
    noise = (random.standard_normal(48000) * 200).astype(np.int16)
    wanted = Conditioning(echo_cancellation=False, noise_suppression=True, gain_control=True)
    chosen = conditioner(wanted, rate=24000, speaker=None)
    out = [
        chosen.process(Block(noise[at : at + 480], at, at / 24000)) for at in range(0, 48000, 480)
    ]
    assert out[3].time == pytest.approx(0.06 - chosen.delay)
    plain = NoiseAndGain(rate=24000, noise_suppression=True, gain_control=False)
    quieter = [plain.process(Block(noise[at : at + 480], at, 0.0)) for at in range(0, 48000, 480)]
    assert level_db(quieter[-1].samples) < level_db(noise) - 6


def test_without_the_package_a_gate_takes_its_place(monkeypatch, caplog):
    monkeypatch.setattr(conditioning, "engine_available", lambda: False)
    wanted = Conditioning(noise_suppression=True)
    with caplog.at_level(logging.WARNING):
        chosen = conditioner(wanted, rate=48000, speaker=TimedRing(48000))
    assert isinstance(chosen, HalfDuplex)
    assert "headphones" in caplog.text


# -- the crossing -----------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_microphone_beside_a_speaker_is_conditioned(wanted):
    host = fake_host(FakePortAudio(FakeDevice("Both", inputs=1, outputs=1)))
    microphone = on_host(host, rtcvoice.Microphone, echo_cancellation=wanted)
    speaker = on_host(host, rtcvoice.Speaker)
    ends = Ends(microphone, speaker)
    await ends.open()
    assert isinstance(microphone._conditioner, EchoCanceller) is wanted
    await ends.aclose()
    alone = Ends(microphone, rtcvoice.Discard())
    await alone.open()
    assert isinstance(microphone._conditioner, NoConditioning)
    await alone.aclose()
