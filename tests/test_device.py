"""Which device is meant, at which rates; and the line through a device's times."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import rtcvoice
from rtcvoice.device.channels import ChannelPicker
from rtcvoice.device.clock import DeviceClock
from rtcvoice.device.device import Device, Direction, Identity, choose, identity_of, rates_for
from rtcvoice.errors import DeviceError

IN, OUT = Direction.INPUT, Direction.OUTPUT


def device(index, name, *, ins=0, outs=0, api="ALSA", rate=48000, default=False):
    return Device(
        index=index,
        name=name,
        host_api=api,
        inputs=ins,
        outputs=outs,
        default_rate=rate,
        is_default_input=default and bool(ins),
        is_default_output=default and bool(outs),
    )


LINUX = [
    device(0, "HDA Intel PCH: ALC257", ins=2, outs=2),
    device(1, "USB Headset", ins=1, outs=2),
    device(2, "USB Webcam", ins=2),
    device(3, "default", ins=32, outs=32, default=True),
]
WINDOWS = [
    device(0, "Headset Microphone (Jabra Evol", ins=1, api="MME", default=True),
    device(1, "Speakers (Realtek)", outs=2, api="MME", default=True),
    device(2, "Headset Microphone (Jabra Evolve 65)", ins=1, api="Windows WASAPI"),
    device(3, "Speakers (Realtek)", outs=2, api="Windows WASAPI"),
    device(4, "Speakers (Realtek)", outs=2, api="Windows WDM-KS"),
]


@pytest.mark.parametrize(
    ("wanted", "direction", "index"),
    [
        (None, IN, 3),
        (None, OUT, 3),
        (0, OUT, 0),
        ("usb headset", IN, 1),
        ("webcam", IN, 2),
        ("USB", OUT, 1),  # the webcam cannot play
    ],
)
def test_a_device_is_found_by_name_index_or_default(wanted, direction, index):
    assert choose(LINUX, wanted, direction).index == index


@pytest.mark.parametrize(
    ("wanted", "direction", "says"),
    [
        ("usb", IN, "'USB Headset', 'USB Webcam'.*more of the name"),
        ("bluetooth", OUT, "no loudspeaker is called 'bluetooth'.*rtcvoice devices"),
        (7, IN, "no sound device 7"),
        (2, OUT, "'USB Webcam' is not a loudspeaker"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_could(wanted, direction, says):
    with pytest.raises(DeviceError, match=says):
        choose(LINUX, wanted, direction)


def test_without_any_device_the_error_says_how_to_do_without():
    with pytest.raises(DeviceError, match=r"there is no microphone.*source=None"):
        choose([LINUX[2]][:0], None, IN)
    with pytest.raises(DeviceError, match=r"there is no loudspeaker.*sink=None"):
        choose([LINUX[2]], None, OUT)


@pytest.mark.parametrize(
    ("wanted", "direction", "index"),
    [(None, IN, 2), (None, OUT, 3), ("Speakers", OUT, 3), (1, OUT, 1)],
)
def test_on_windows_wasapi_is_taken_unless_an_index_says_otherwise(wanted, direction, index):
    assert choose(WINDOWS, wanted, direction).index == index


@pytest.mark.parametrize(
    ("own", "ladder"),
    [
        (48000, [48000, 44100, 24000, 16000, 96000, 8000, 192000]),
        (44100, [48000, 44100, 24000, 16000, 96000, 8000, 192000]),
        (16000, [48000, 16000, 44100, 24000, 96000, 8000, 192000]),
        (96000, [48000, 96000, 44100, 24000, 16000, 8000, 192000]),
        (0, [48000, 44100, 24000, 16000, 96000, 8000, 192000]),
    ],
)
def test_the_rates_to_try(own, ladder):
    assert rates_for(device(0, "x", ins=1, rate=own)) == ladder


def test_of_equal_devices_the_one_that_was_meant_is_found_again():
    headsets = [device(1, "USB Headset", ins=1), device(2, "USB Headset", ins=1)]
    second = identity_of(headsets, headsets[1], IN)
    moved = [device(5, "Other", ins=1), *(replace(each, index=each.index + 6) for each in headsets)]
    assert choose(moved, second, IN).index == 8
    with pytest.raises(DeviceError, match="'USB Headset' is gone"):
        choose(moved[:2], second, IN)  # the one that is left may be somebody else's
    assert identity_of(LINUX, LINUX[1], IN) == Identity("USB Headset", "ALSA", 0)


@pytest.mark.parametrize("wrong", [1.5, "", "  ", True, b"USB", ["USB"]])
def test_what_means_no_device_is_refused_at_once(wrong):
    for end in (rtcvoice.Microphone, rtcvoice.Speaker):
        with pytest.raises(
            rtcvoice.ConfigError, match="is not the name or number of a sound device"
        ):
            end(wrong)


def test_the_channel_in_which_something_is_heard_is_taken():
    picker, noise = ChannelPicker(2), np.random.default_rng(1)

    def frames(left: float, right: float) -> np.ndarray:
        both = noise.normal(0, 1, (480, 2)) * (left, right) + (0, 500)  # an offset is no sound
        return np.rint(both).astype(np.int16)

    assert np.array_equal(picker.take(block := frames(2, 2)), block[:, 0])
    assert [picker.take(frames(2, 2000)).std() > 1000 for _ in range(5)][-1]
    assert picker.current == 1
    for _ in range(100):
        picker.take(frames(2, 2))  # a pause changes nothing
        picker.take(frames(900, 600))  # nor two microphones that hear one voice
    assert picker.current == 1
    for _ in range(20):
        picker.take(frames(3000, 100))
    assert picker.current == 0


def test_a_channel_that_was_asked_for_is_kept():
    picker = ChannelPicker(2, wanted=1)
    heard = picker.take(np.array([[900, 1], [-900, 2]], np.int16))
    assert heard.tolist() == [1, 2]
    assert heard.flags.c_contiguous


def test_times_that_are_late_by_chance_lie_on_the_earliest_line():
    clock, dice = DeviceClock(48000), random.Random(3)
    worst = 0.0
    for number in range(500):
        true = 70.0 + number * 0.01
        late = dice.choice((0.0, 0.0, 0.004, 0.015))
        told = clock.time_of(number * 480, true + late)
        if number > 10:
            worst = max(worst, abs(told - true))
    assert worst < 0.001


def test_two_blocks_at_one_time_are_ten_milliseconds_apart():
    clock = DeviceClock(48000)
    times = [clock.time_of(480 * n, 9.0 + 0.02 * (n // 2)) for n in range(100)]
    assert times[51] - times[50] == pytest.approx(0.01)
    assert times[50] == pytest.approx(9.0 + 0.02 * 25 - 0.01)


def test_drift_is_followed():
    clock = DeviceClock(48000)
    for number in range(12000):  # two minutes of a device that is 200 ppm slow
        true = number * 0.01 * 1.0002
        told = clock.time_of(number * 480, true)
    assert told == pytest.approx(true, abs=0.001)


def test_a_dropout_is_a_new_line_soon_even_unannounced():
    clock = DeviceClock(48000)
    for number in range(100):
        clock.time_of(number * 480, number * 0.01)
    for number in range(100, 140):
        told = clock.time_of(number * 480, number * 0.01 + 0.3)
    assert told == pytest.approx(139 * 0.01 + 0.3)
