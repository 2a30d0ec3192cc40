"""The devices of a process: opened, watched, found again, given room; in virtual time."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from fake_portaudio import FakeDevice, FakePortAudio, fake_host

from rtcvoice.device.device import Direction
from rtcvoice.device.host import DeviceHost, device_host
from rtcvoice.device.line import LARGEST_LATENCY, Line, LineState
from rtcvoice.device.portaudio import PortAudio
from rtcvoice.device.thread import DeviceThread
from rtcvoice.errors import DeviceError

IN, OUT = Direction.INPUT, Direction.OUTPUT


class EndOfLine:
    """What a microphone or speaker is to its line; remembers everything."""

    def __init__(self) -> None:
        self.rates: list[int] = []
        self.times: list[float] = []
        self.closings = 0
        self.events: list[tuple[str, str]] = []
        self.is_quiet = True
        self.fails = False

    def opened(self, rate: int) -> None:
        self.rates.append(rate)

    def process(self, samples, time: float) -> None:
        if self.fails:
            raise ValueError("a bug")
        self.times.append(time)
        samples.fill(7)

    def quiet(self, now: float) -> bool:
        return self.is_quiet

    def closed(self) -> None:
        self.closings += 1

    def changed(self, event) -> None:
        self.events.append((event.change.value, event.device))


class Scene:
    """A machine with devices, and a line in use for each direction asked for."""

    def __init__(self, *devices: FakeDevice) -> None:
        self.library = FakePortAudio(*devices)
        self.host = fake_host(self.library)

    def line(self, direction=OUT, wanted=None, *, latency=0.03):
        end = EndOfLine()
        line = Line(end, direction, wanted, latency=latency, clock=self.host.clock)
        self.host.attach(line).result()
        return line, end

    def run(self, seconds: float) -> None:
        self.library.run(seconds, check=self.host.check)

    @property
    def stream(self):
        return self.library.streams[-1]


def card(name="Card"):
    return FakeDevice(name, inputs=1, outputs=2)


def test_a_line_is_opened_called_and_closed():
    scene = Scene(card())
    line, end = scene.line()
    assert line.state is LineState.STARTING
    scene.run(1)
    assert line.state is LineState.OPEN
    assert len(end.times) == 100
    assert end.times[50] - end.times[49] == pytest.approx(0.01)
    assert end.times[-1] == pytest.approx(scene.library.now + 0.03)  # when it is heard
    assert line.latency == pytest.approx(0.03)
    scene.host.detach(line).result()
    assert line.state is LineState.CLOSED
    assert end.closings == 1
    assert not scene.library.open_streams
    assert end.events == []


def test_a_captured_block_began_at_least_its_length_ago():
    scene = Scene(card())
    _, end = scene.line(IN, latency=0.03)
    scene.run(0.2)
    assert end.times[-1] == pytest.approx(scene.library.now - 0.03)
    scene.stream.delay = 0.004  # as ALSA's pulse plugin reports
    scene.run(1)
    assert end.times[-1] <= scene.library.now - 0.01


def test_a_driver_that_reports_no_times_is_taken_by_its_estimate():
    scene = Scene(card())
    line, end = scene.line()
    scene.stream.reports_times = False
    scene.run(0.5)
    assert end.times[-1] == pytest.approx(scene.library.now + 0.03)
    assert line.latency == pytest.approx(0.03)


@pytest.mark.parametrize("how", ["unplugged", "silently gone"])
def test_a_lost_device_is_noticed_within_a_second_and_the_default_takes_over(how, caplog):
    headset, built_in = card("Headset"), card("Built-in")
    scene = Scene(built_in, headset)
    line, end = scene.line(OUT, "headset")
    scene.run(1)
    scene.library.plugged.remove(headset)
    if how == "unplugged":
        scene.stream.vanish()
    else:
        scene.stream.mute = True
    with caplog.at_level(logging.WARNING):
        scene.run(1)
    assert line.state is LineState.OPEN
    assert end.events == [("lost", "Headset"), ("reopened", "Built-in")]
    assert len([r for r in caplog.records if "Headset" in r.getMessage()]) == 1
    assert line.stats.reopenings == 1


def test_a_device_that_comes_back_is_taken_again():
    headset, other = card("Headset"), card("Other")
    scene = Scene(other, headset)
    line, end = scene.line(OUT, "headset")
    scene.run(0.5)
    scene.library.plugged.remove(headset)
    scene.stream.vanish()
    scene.run(1)
    assert line.device == "Other"
    scene.library.plugged.append(headset)
    scene.library.plugged.remove(other)
    scene.stream.vanish()
    scene.run(1)
    assert line.device == "Headset"
    assert [change for change, _ in end.events] == ["lost", "reopened"] * 2


def test_a_device_named_by_index_is_found_by_its_name_afterwards():
    first, second = card("First"), card("Second")
    scene = Scene(first, second)
    line, _ = scene.line(OUT, 1)
    scene.run(0.5)
    scene.library.plugged[:] = [second, first]  # another order from the next initialisation on
    scene.stream.vanish()
    scene.library._initialize()
    scene.run(0.5)
    assert line.device == "Second"


def test_the_sound_server_dies_and_comes_back_later():
    only = card()
    scene = Scene(only)
    (line, end), (mic, heard) = scene.line(), scene.line(IN)
    scene.run(0.5)
    scene.library.plugged.clear()
    for stream in list(scene.library.open_streams):
        stream.vanish()
    scene.run(20)
    assert line.state is mic.state is LineState.LOST
    before = scene.library.initialised
    scene.run(10)
    attempts = scene.library.initialised - before
    assert 1 <= attempts <= 8  # one every 4 s and line: it does not hammer
    scene.library.plugged.append(only)
    scene.run(5)
    assert line.state is mic.state is LineState.OPEN
    assert [change for change, _ in end.events] == ["lost", "reopened"]
    assert [change for change, _ in heard.events] == ["lost", "reopened"]


def test_a_working_device_is_interrupted_at_most_twice_a_minute_for_a_lost_one():
    webcam, speakers = FakeDevice("Webcam", inputs=1), FakeDevice("Speakers", outputs=2)
    scene = Scene(webcam, speakers)
    (mic, _), (line, end) = scene.line(IN), scene.line(OUT)
    scene.run(0.5)
    webcam_stream = scene.library.streams[0]
    scene.library.plugged.remove(webcam)
    webcam_stream.vanish()
    scene.run(70)
    assert mic.state is LineState.LOST
    assert line.state is LineState.OPEN
    assert end.closings == 3
    assert end.events == []  # it was not lost
    assert len(end.times) > 6900


def test_repeated_dropouts_get_a_larger_buffer_in_the_next_silence():
    scene = Scene(card())
    line, end = scene.line()
    scene.run(1)
    end.is_quiet = False
    scene.stream.accidents = 3
    scene.run(1)
    assert len(scene.library.streams) == 1  # somebody speaks
    end.is_quiet = True
    scene.run(0.2)
    assert scene.stream.asked == 0.06
    assert end.events == [("adjusted", "Card")]
    assert line.stats.dropouts == 3
    assert line.stats.reopenings == 1


def test_where_it_is_never_quiet_the_buffer_grows_after_five_seconds():
    scene = Scene(card())
    _, end = scene.line()
    scene.run(1)
    end.is_quiet = False
    scene.stream.accidents = 3
    scene.run(4.5)
    assert len(scene.library.streams) == 1
    scene.run(1)
    assert scene.stream.asked == 0.06


def test_a_few_dropouts_far_apart_and_those_of_the_start_change_nothing():
    scene = Scene(card())
    line, _ = scene.line()
    scene.stream.accidents = 20
    scene.run(0.4)
    assert line.stats.dropouts == 0
    scene.stream.accidents = 0
    for _ in range(4):
        scene.run(6)
        scene.stream.accidents = 1
    scene.run(1)
    assert len(scene.library.streams) == 1
    assert line.stats.dropouts == 4


def test_the_buffer_grows_only_so_far():
    scene = Scene(card())
    scene.line()
    for _ in range(10):
        scene.run(1)
        scene.stream.accidents = 3
    assert scene.stream.asked == LARGEST_LATENCY


def test_listing_never_disturbs_what_plays_and_is_fresh_when_nothing_does():
    first, second = card("First"), card("Second")
    scene = Scene(first)
    line, end = scene.line()
    scene.run(3)
    scene.library.plugged.append(second)
    assert [each.name for each in scene.host.devices().result()] == ["First"]
    scene.run(1)
    assert end.closings == 0
    scene.host.detach(line).result()
    scene.run(3)
    assert [each.name for each in scene.host.devices().result()] == ["First"]
    assert [each.name for each in scene.host.devices(refresh=True).result()] == ["First", "Second"]


def test_where_there_was_no_device_it_looks_again():
    scene = Scene()
    assert scene.host.devices().result() == []
    scene.library.plugged.append(card("First"))
    scene.run(3)
    assert [each.name for each in scene.host.devices().result()] == ["First"]


def test_listing_and_opening_never_end_somebody_elses_stream():
    scene = Scene(card())
    theirs = scene.library.RawOutputStream(
        device=0,
        channels=1,
        dtype="int16",
        samplerate=48000,
        blocksize=480,
        latency=0.03,
        callback=lambda *_: None,
        finished_callback=lambda: None,
    )
    theirs.start()
    for _ in range(3):
        scene.run(5)
        scene.host.devices().result()
        line, _ = scene.line()
        scene.host.detach(line).result()
    assert theirs.active
    assert scene.library.initialised == 1


def test_a_device_that_was_plugged_in_since_is_found_when_it_is_asked_for():
    scene = Scene(card("First"))
    scene.host.devices().result()
    scene.run(5)
    scene.library.plugged.append(card("Second"))
    line, _ = scene.line(OUT, "second")
    assert line.device == "Second"


def test_of_two_equal_devices_the_one_named_by_its_index_is_opened_again():
    one, two = card("USB Headset"), card("USB Headset")
    scene = Scene(one, two)
    line, _ = scene.line(IN, 1)
    for _ in range(2):
        assert scene.stream.device is two
        scene.run(1)
        scene.stream.vanish()
        scene.run(1)
    scene.host.detach(line).result()
    scene.host.attach(line).result()  # the next call
    assert scene.stream.device is two


def test_a_microphone_of_which_nothing_comes_is_told_of_once_until_it_sounds():
    scene = Scene(card())
    line, end = scene.line(IN)
    _, other = scene.line(OUT)
    scene.run(9.5)
    assert end.events == []
    scene.run(30)
    assert end.events == [("silent", "Card")]
    microphone = scene.library.streams[0]
    microphone.hears = lambda index, count: np.ones(count, np.int16)
    scene.run(1)
    microphone.hears = lambda index, count: np.zeros(count, np.int16)
    scene.run(12)
    assert end.events == [("silent", "Card")] * 2
    assert line.state is LineState.OPEN
    assert other.events == []


def test_a_second_input_is_heard_and_two_loudspeakers_play():
    scene = Scene(FakeDevice("Interface", inputs=2), FakeDevice("DAC", outputs=2, stereo_only=True))
    heard = []
    _, end = scene.line(IN)
    end.process = lambda samples, time: heard.append(samples)
    scene.stream.hears = lambda index, count: np.tile([[0, 900], [0, -900]], (count // 2, 1))
    scene.line(OUT)
    scene.run(0.5)
    assert all(np.abs(block).max() == 900 for block in heard[5:])
    assert scene.stream.channels == 2
    assert set(scene.stream.heard) == {7}  # the fake checks that both channels are the same


def test_a_call_begins_with_counts_of_its_own():
    scene = Scene(card())
    line, end = scene.line()
    scene.run(1)
    scene.stream.accidents = 2
    scene.run(1)
    scene.stream.vanish()
    scene.library.plugged.clear()
    scene.run(1)
    scene.host.detach(line).result()
    scene.library.plugged.append(card())
    scene.run(5)
    scene.host.attach(line).result()
    scene.run(1)
    assert (line.stats.dropouts, line.stats.reopenings) == (0, 0)
    assert [change for change, _ in end.events] == ["lost"]  # not "reopened", in another call


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_fails_at_once_or_works():
    used, unused = (DeviceHost(PortAudio(lambda: FakePortAudio(card()))) for _ in range(2))
    used.devices().result(5)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
    if not child:
        signal.alarm(20)  # ends the child, should it hang: this process waits for it
        told = b""
        try:
            with contextlib.suppress(DeviceError):
                used.devices().result(5)
                told += b"listed;"
            sys.modules.pop("sounddevice", None)
            told += unused.devices().result(5)[0].name.encode()
        except BaseException as exc:
            told += repr(exc).encode()
        finally:
            os.write(writer, told)
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    told = os.read(reader, 1000)
    os.close(reader)
    if "sounddevice" not in sys.modules:
        assert told == b"Card"
    assert b"listed" not in told


def test_a_machine_that_slept_has_lost_nothing():
    scene = Scene(card())
    line, end = scene.line()
    scene.run(1)
    scene.library.now += 3600
    scene.host.check()
    assert line.state is LineState.OPEN
    scene.run(1)
    assert end.events == []


def test_a_device_that_never_calls_is_given_up_after_three_seconds():
    scene = Scene(card())
    line, end = scene.line()
    scene.stream.mute = True
    scene.run(2.5)
    assert end.events == []
    scene.run(1)
    assert [change for change, _ in end.events] == ["lost", "reopened"]
    assert line.state is LineState.OPEN


def test_an_end_that_fails_is_silence_and_one_log_record(caplog):
    scene = Scene(card())
    _, end = scene.line()
    end.fails = True
    scene.run(0.5)
    assert not scene.stream.heard.any()
    assert caplog.text.count("Traceback") == 1


def test_a_line_that_cannot_be_opened_is_not_kept():
    scene = Scene(FakeDevice("Busy", outputs=2, in_use=True))
    line = Line(EndOfLine(), OUT, None, latency=0.03, clock=scene.host.clock)
    with pytest.raises(DeviceError, match="in use by another program"):
        scene.host.attach(line).result()
    scene.run(1)
    assert line.state is LineState.CLOSED
    scene.host.detach(line).result()


def test_jobs_run_in_order_on_one_thread_and_ticks_between_them():
    runner, ticks, names = DeviceThread(), itertools.count(), []

    def tick():
        next(ticks)
        return 0.001

    runner.start(tick)
    jobs = [runner.submit(lambda: names.append(threading.current_thread().name)) for _ in range(5)]
    failing = runner.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(5)
    assert all(job.done() for job in jobs)
    assert names == ["rtcvoice devices"] * 5
    deadline = time.monotonic() + 30
    while next(ticks) < 30:
        assert time.monotonic() < deadline
        runner.submit(lambda: None).result(5)
    runner.start(lambda: None)


def test_a_tick_that_fails_is_logged_and_the_thread_goes_on(caplog):
    runner = DeviceThread()
    runner.start(lambda: 1 / 0)
    assert runner.submit(lambda: 5).result(5) == 5
    assert runner.submit(lambda: 6).result(5) == 6
    runner.start(lambda: None)
    assert "watching the sound devices failed" in caplog.text


def test_the_process_has_one_host():
    assert device_host() is device_host()


def test_a_host_with_a_thread_of_its_own_opens_and_watches():
    library = FakePortAudio(card())
    library.now = time.monotonic()
    host = DeviceHost(PortAudio(lambda: library))
    end = EndOfLine()
    line = Line(end, OUT, None, latency=0.03, clock=host.clock)
    host.attach(line).result(5)
    library.step()
    deadline = time.monotonic() + 30
    while line.state is not LineState.OPEN:
        assert time.monotonic() < deadline
        library.streams[-1].call()
        time.sleep(0.002)
    host.detach(line).result(5)
    assert end.closings == 1
