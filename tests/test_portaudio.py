"""The border to PortAudio: rates, errors in words, interfaces; with the fake in its place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fake_portaudio import FakeDevice, FakePortAudio

from rtcvoice.device.device import Direction
from rtcvoice.device.portaudio import PortAudio
from rtcvoice.errors import DeviceError

IN, OUT = Direction.INPUT, Direction.OUTPUT


def opened(library, direction=OUT, wanted=None):
    border = PortAudio(lambda: library)
    return border.open(
        direction, wanted, latency=0.03, callback=lambda *_: None, finished=lambda: None
    )


def test_devices_are_listed_with_their_defaults():
    library = FakePortAudio(
        FakeDevice("Webcam", inputs=2, rates=(16000,), default_rate=16000.0),
        FakeDevice("Headphones", outputs=2),
    )
    webcam, headphones = PortAudio(lambda: library).devices()
    assert (webcam.name, webcam.host_api, webcam.default_rate) == ("Webcam", "ALSA", 16000)
    assert webcam.is_default_input
    assert not webcam.is_default_output
    assert headphones.is_default_output


@pytest.mark.parametrize(
    ("rates", "own", "rate"),
    [
        ((8000, 16000, 44100, 48000), 44100, 48000),
        ((44100,), 44100, 44100),
        ((16000,), 16000, 16000),
        ((16000, 24000), 8000, 24000),
        ((96000,), 96000, 96000),
    ],
)
def test_the_first_rate_that_a_device_takes_is_used(rates, own, rate):
    library = FakePortAudio(FakeDevice("Card", outputs=2, rates=rates, default_rate=own))
    assert opened(library).rate == rate


def test_a_device_that_takes_none_of_them_is_named_with_the_rates():
    library = FakePortAudio(FakeDevice("Odd", outputs=2, rates=(32000,), default_rate=22050.0))
    with pytest.raises(DeviceError, match=r"'Odd' takes none.*48000, 22050, 44100, 24000, 16000"):
        opened(library, wanted="Odd")


@pytest.mark.parametrize("rate", [8000, 96000, 192000])
def test_a_device_with_one_rate_that_it_does_not_tell_is_opened(rate):
    library = FakePortAudio(FakeDevice("Card", inputs=1, rates=(rate,), default_rate=44100.0))
    assert opened(library, IN).rate == rate


def test_of_two_inputs_both_are_opened_and_what_takes_no_single_channel_gets_two():
    assert opened(FakePortAudio(FakeDevice("Interface", inputs=2)), IN).channels == 2
    assert opened(FakePortAudio(FakeDevice("Mic", inputs=1)), IN).channels == 1
    assert opened(FakePortAudio(FakeDevice("Card", outputs=2))).channels == 1
    assert opened(FakePortAudio(FakeDevice("DAC", outputs=2, stereo_only=True))).channels == 2
    with pytest.raises(DeviceError, match="neither one channel nor two"):
        opened(FakePortAudio(FakeDevice("Odd", outputs=1, stereo_only=True)))


def test_a_driver_that_lies_about_its_second_input_is_opened_with_one():
    library = FakePortAudio(FakeDevice("Mic", inputs=2))

    def refuses(**options):
        if options["channels"] == 2:
            raise library.PortAudioError("Unanticipated host error", -9999)
        return library._stream(is_input=True, **options)

    library.RawInputStream = refuses
    assert opened(library, IN).channels == 1


def test_a_channel_that_is_not_there_is_named():
    border = PortAudio(lambda: FakePortAudio(FakeDevice("Mic", inputs=1)))
    nothing = {"latency": 0.03, "callback": lambda *_: None, "finished": lambda: None}
    with pytest.raises(DeviceError, match="has no channel 2, only 1"):
        border.open(IN, None, channel=2, **nothing)


def test_a_name_that_two_equal_devices_have_is_warned_of(caplog):
    headset = FakeDevice("USB Headset", inputs=1)
    opened(FakePortAudio(headset, FakeDevice("USB Headset", inputs=1)), IN, "headset")
    assert "several devices are called 'USB Headset': number 0" in caplog.text


def test_the_module_is_loaded_for_us_alone(tmp_path, monkeypatch):
    """PortAudio counts its initialisations: with one of our own, ours never ends the others'."""
    (tmp_path / "sounddevice.py").write_text("PortAudioError = OSError\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    border = PortAudio()
    border.refresh()
    assert "sounddevice" not in sys.modules
    assert border.is_ours_alone


def test_of_equal_devices_the_default_is_the_one_that_wasapi_says():
    library = FakePortAudio(
        FakeDevice("Speakers (USB)", outputs=2),
        FakeDevice("Speakers (USB)", outputs=2, interface=1),
        FakeDevice("Speakers (USB)", outputs=2, interface=1),
        interfaces=("MME", "Windows WASAPI"),
    )
    interfaces = library.query_hostapis()
    interfaces[1]["default_output_device"] = 2
    library.query_hostapis = lambda: interfaces
    assert opened(library).device.index == 2


def test_wasapi_converts_only_when_nothing_else_works():
    card = FakeDevice("Card", outputs=2, rates=(96000,), default_rate=96000.0)
    library = FakePortAudio(card, interfaces=("Windows WASAPI",))
    assert opened(library).rate == 96000
    card.rates = ()
    assert opened(library).rate == 48000


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (-9985, "'Card' is in use by another program.*close that program"),
        (-9996, "'Card' is gone.*rtcvoice devices"),
        (-9999, "refused by the sound system.*sound server"),
        (-1, "cannot be opened: Something"),
    ],
)
def test_errors_name_the_device_the_cause_and_the_cure(code, says):
    library = FakePortAudio(FakeDevice("Card", outputs=2))

    def fails(**options):
        raise library.PortAudioError("Something", code)

    library.RawOutputStream = fails
    with pytest.raises(DeviceError, match=says) as caught:
        opened(library)
    assert isinstance(caught.value.__cause__, library.PortAudioError)


def test_a_device_that_fails_to_start_is_closed_again():
    card = FakeDevice("Card", outputs=2)
    library = FakePortAudio(card)
    stream = opened(library)
    library.plugged.remove(card)
    with pytest.raises(DeviceError, match="in use by another program, or gone"):
        stream.start()
    assert not library.open_streams


def test_what_portaudio_prints_while_opening_is_not_seen(capfd):
    library = FakePortAudio(FakeDevice("Card", outputs=2))

    def noisy(**options):
        subprocess.run(["sh", "-c", "echo Expression failed >&2"], check=True)
        raise library.PortAudioError("Invalid", -9996)

    library.RawOutputStream = noisy
    with pytest.raises(DeviceError):
        opened(library)
    sys.stderr.write("after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("raise OSError('PortAudio library not found')", "PortAudio library is not installed"),
        ("raise ImportError('no')", "sounddevice is not installed"),
        ("raise RuntimeError('Pa_Initialize')", "PortAudio does not start"),
    ],
)
def test_a_missing_library_is_an_error_with_the_command_that_helps(
    module, says, tmp_path, monkeypatch
):
    (tmp_path / "sounddevice.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(DeviceError, match=says) as caught:
        PortAudio().devices()
    if "library" in says and sys.platform == "linux":
        assert "apt install libportaudio2" in caught.value.hint
        assert "dnf install portaudio" in caught.value.hint


def test_importing_rtcvoice_imports_no_sounddevice():
    script = "import sys, rtcvoice; rtcvoice.Microphone(); assert 'sounddevice' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
