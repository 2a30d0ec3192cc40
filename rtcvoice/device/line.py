"""One end's line to its sound device: how it is opened, what goes over it, when it is called lost.

The device calls `_callback` every 10 ms, on a thread of PortAudio's; everything else happens on the
device thread, where `host.py` looks at each line ten times a second. The two share plain
attributes that one of them writes and the other reads: no lock, since a callback may not wait.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from rtcvoice.device.channels import ChannelPicker
from rtcvoice.device.clock import DeviceClock
from rtcvoice.device.device import Direction, WantedDevice, check_wanted
from rtcvoice.device.portaudio import PortAudio, PortAudioStream
from rtcvoice.errors import DeviceError
from rtcvoice.events import DeviceChange, DeviceChanged
from rtcvoice.masking import log_error
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples
from rtcvoice.stats import DeviceStats
from rtcvoice.system.states import StateTable

__all__ = ["End", "Line", "LineState"]

logger = logging.getLogger(__name__)

STALLED = 0.5
"""Seconds without a callback after which a device is lost."""

FIRST_CALL = 3.0
"""Seconds that a device may take for its first callback: Bluetooth has to wake up."""

SETTLING = 0.5
"""Seconds after the start in which a dropout says nothing: the buffers are still being filled."""

DROPOUTS, DROPOUT_SPAN = 3, 10.0
"""That many dropouts within so many seconds are too many for the buffer there is."""

LARGEST_LATENCY = 0.24
"""Seconds of buffer beyond which more would not help; a conversation suffers before."""

SILENT = 10.0
"""Seconds of nothing but zeros after which a microphone is suspicious: a real one makes noise."""

QUIET_TIMEOUT = 5.0
"""Seconds to wait for silence before a device is opened anew in the middle of speech."""


class LineState(enum.Enum):
    """Where a line is."""

    CLOSED = "Not in use."
    STARTING = "Opened; the device has not called yet."
    OPEN = "The device calls every 10 ms."
    LOST = "The device is gone, or cannot be opened again, and is being looked for."


LINE = StateTable(
    {
        LineState.CLOSED: {LineState.STARTING, LineState.LOST},
        LineState.STARTING: {LineState.OPEN, LineState.CLOSED, LineState.LOST},
        LineState.OPEN: {LineState.CLOSED, LineState.LOST},
        LineState.LOST: {LineState.STARTING, LineState.CLOSED},
    }
)


class End(Protocol):
    """A microphone or loudspeaker: what a line needs of it."""

    def opened(self, rate: int) -> None:
        """Get ready for a device that runs at `rate`. Device thread, before the first callback."""

    def process(self, samples: Samples, time: float) -> None:
        """Take `samples`, or fill them. PortAudio's thread: may not wait.

        `time` is when the first sample was captured, or will be heard.
        """

    def quiet(self, now: float) -> bool:
        """Whether an interruption would hardly be noticed now. Device thread."""

    def closed(self) -> None:
        """The device calls no more, for now or for good. Device thread."""

    def changed(self, event: DeviceChanged) -> None:
        """Tell the user. Device thread."""


class Line:
    """A line for `end` to the device `wanted`; `latency` is the seconds of buffer asked for.

    `channel`, from 1, is the one of a microphone's that counts; None: the one in which something is
    heard. Raises ConfigError for a `wanted` that means no device.

    Device thread only, but for `stats`, `latency` and `device`, which may be read anywhere.
    """

    def __init__(
        self,
        end: End,
        direction: Direction,
        wanted: int | str | None,
        *,
        latency: float,
        clock: Callable[[], float],
        channel: int | None = None,
    ) -> None:
        self.direction = direction
        self.state = LineState.CLOSED
        self.on_finished: Callable[[], None] = lambda: None
        """Called on PortAudio's thread when a stream ended, for a closer look."""
        self._end = end
        self._wanted: WantedDevice = check_wanted(wanted)
        self._channel = channel
        self._asked = latency
        self._now = clock
        self._stream: PortAudioStream | None = None
        self._device = ""
        self._rate = 0
        self._channels = 1
        self._picker = ChannelPicker(1)
        self._mono: Samples = np.zeros(0, np.int16)
        self._clock = DeviceClock(1)
        self._done = 0
        self._opened_at = self._called_at = 0.0
        self._finished = self._broken = False
        self._latency = self._estimate = 0.0
        self._dropouts = self._reopenings = 0
        self._recent: deque[float] = deque(maxlen=DROPOUTS)
        self._missed = False  # lost, and not yet heard from again
        self._sound_at = 0.0
        self._silence_told = False
        self._interrupt_at: float | None = None

    @property
    def device(self) -> str:
        """Name of the device in use, or last in use."""
        return self._device

    @property
    def latency(self) -> float:
        """Seconds between the program and the air, as measured of late; 0 before anything was."""
        return self._latency

    @property
    def stats(self) -> DeviceStats:
        """How the device fares."""
        return DeviceStats(
            device=self._device,
            rate=self._rate,
            working=self.state is LineState.OPEN,
            latency=self._latency,
            dropouts=self._dropouts,
            reopenings=self._reopenings,
        )

    def open(self, portaudio: PortAudio) -> None:
        """Open the wanted device and start it, for a new call; raises DeviceError."""
        self._dropouts = self._reopenings = 0
        self._missed = self._broken = self._silence_told = False
        self._open(portaudio, self._wanted)

    def reopen(self, portaudio: PortAudio) -> None:
        """Open the wanted device, or else the default one; raises DeviceError."""
        try:
            self._open(portaudio, self._wanted)
        except DeviceError:
            if self._wanted is None:
                raise
            self._open(portaudio, None)
        self._reopenings += 1

    def widen(self, portaudio: PortAudio) -> None:
        """Open the device again with twice the buffer; raises DeviceError."""
        self.close()
        self._asked = min(2 * self._asked, LARGEST_LATENCY)
        self.reopen(portaudio)
        self._tell(
            DeviceChange.ADJUSTED, f"dropouts; its buffer is {self._asked * 1000:.0f} ms now"
        )

    def close(self) -> None:
        """Close the device, if one is open."""
        self._become(LineState.CLOSED)
        self._close_stream()

    def lose(self, reason: str) -> None:
        """Give the device up; it is to be opened again."""
        self._become(LineState.LOST)
        self._close_stream()
        if not self._missed:
            self._missed = True
            self._tell(DeviceChange.LOST, reason)

    def fault(self, now: float, *, excused_until: float) -> str:
        """Look after the device; return why it has to be called lost, empty while it works.

        Silence before `excused_until` is not held against it: nobody was running then.
        """
        if self._stream is None:
            return ""
        if self._finished or not self._stream.active:
            return "the device or the sound server is gone"
        called = self._called_at > self._opened_at
        if called and self.state is LineState.STARTING:
            self._first_callback_came()
        since = now - max(self._called_at, excused_until)
        if since > (STALLED if called else FIRST_CALL):
            return "no sound comes from it" if self._input else "it takes no more sound"
        return ""

    def needs_room(self, now: float) -> bool:
        """Whether a larger buffer is needed, and this is the moment to open the device anew."""
        repeated = len(self._recent) == DROPOUTS and now - self._recent[0] < DROPOUT_SPAN
        if self.state is not LineState.OPEN or self._asked >= LARGEST_LATENCY or not repeated:
            self._interrupt_at = None
            return False
        if self._interrupt_at is None:
            self._interrupt_at = now + QUIET_TIMEOUT
        return self._end.quiet(now) or now >= self._interrupt_at

    def notice_silence(self, now: float, *, excused_until: float) -> None:
        """Tell, once until there is sound, of a microphone that gives nothing but zeros."""
        if self.state is not LineState.OPEN or not self._input:
            return
        silent = now - max(self._sound_at, excused_until)
        if silent < SILENT:
            self._silence_told = False
        elif not self._silence_told:
            self._silence_told = True
            self._tell(
                DeviceChange.SILENT,
                f"nothing but zeros for {SILENT:.0f} s; is it switched off or muted, is another"
                " one meant, or may this program not use it?",
            )

    @property
    def _input(self) -> bool:
        return self.direction is Direction.INPUT

    def _open(self, portaudio: PortAudio, wanted: WantedDevice) -> None:
        stream = portaudio.open(
            self.direction,
            wanted,
            latency=self._asked,
            callback=self._callback,
            finished=self._on_finished,
            channel=self._channel,
        )
        if isinstance(self._wanted, int):  # indices change; this device is what was meant
            self._wanted = stream.identity
        self._rate, self._channels = stream.rate, stream.channels
        chosen = None if self._channel is None else self._channel - 1
        self._picker = ChannelPicker(stream.channels, wanted=chosen)
        self._mono = np.zeros(stream.rate // 100, np.int16)
        self._clock = DeviceClock(stream.rate)
        self._done = 0
        self._finished = False
        self._recent.clear()
        self._latency = self._estimate = stream.latency
        self._end.opened(stream.rate)
        self._opened_at = self._called_at = self._sound_at = self._now()
        # Before it starts: the first callback may come sooner than `start` returns.
        self._stream, self._device = stream, stream.device.name
        try:
            stream.start()
        except DeviceError:
            self._stream = None
            self._end.closed()
            raise
        self._become(LineState.STARTING)
        logger.info(
            "= %s %r at %d Hz, buffer %.0f ms",
            self.direction.value,
            self._device,
            stream.rate,
            stream.latency * 1000,
        )

    def _close_stream(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()
            self._end.closed()

    def _become(self, state: LineState) -> None:
        self.state = LINE.change(self.state, state, self.direction.value)

    def _first_callback_came(self) -> None:
        self._become(LineState.OPEN)
        if self._missed:
            self._missed = False
            self._tell(DeviceChange.REOPENED, "sound again")

    def _tell(self, change: DeviceChange, reason: str) -> None:
        event = DeviceChanged(
            end="microphone" if self.direction is Direction.INPUT else "loudspeaker",
            change=change,
            device=self._device,
            reason=reason,
        )
        logger.warning("x %s %r %s: %s", event.end, event.device, change.value, reason)
        self._end.changed(event)

    # -- PortAudio's thread -------------------------------------------------------------------

    def _on_finished(self) -> None:
        self._finished = True
        self.on_finished()

    def _callback(self, data: Any, frames: int, times: Any, status: Any) -> None:
        now = self._now()
        self._called_at = now
        samples = np.frombuffer(data, np.int16)
        try:
            if status and (status.input_overflow or status.output_underflow):
                self._drop_out(now)
            time = self._clock.time_of(self._done, self._measured(now, frames, times))
            self._latency += 0.05 * (abs(time - now) - self._latency)
            self._done += frames
            self._exchange(samples, time)
        except Exception as exc:
            if not self._input:
                samples.fill(0)
            if not self._broken:
                self._broken = True
                log_error(logger, exc, "x a %s's callback failed; silence", self.direction.value)

    def _exchange(self, samples: Samples, time: float) -> None:
        """Give the end one channel of `samples`, or fill all of them with what it gives."""
        if self._input and samples.any():
            self._sound_at = self._called_at
        if self._channels == 1:
            self._end.process(samples, time)
            return
        frames = samples.reshape(-1, self._channels)
        if self._input:
            self._end.process(self._picker.take(frames), time)
            return
        if len(self._mono) != len(frames):
            self._mono = np.zeros(len(frames), np.int16)
        self._end.process(self._mono, time)
        frames[:] = self._mono[:, np.newaxis]

    def _drop_out(self, now: float) -> None:
        if now - self._opened_at < SETTLING:
            return
        self._dropouts += 1
        self._recent.append(now)
        self._clock.reset()

    def _measured(self, now: float, frames: int, times: Any) -> float:
        """Return the time of the block's first sample by the driver, or by its estimate.

        Only differences mean anything: each interface has a clock of its own. Some report nothing
        (WDM-KS) or the present (DirectSound) as the time of a sample; and a captured block cannot
        have begun less than its own length ago, whatever ALSA's pulse plugin says.
        """
        if self._input:
            ago: float = times.currentTime - times.inputBufferAdcTime
            if not 0 < ago <= 1:
                ago = self._estimate
            return now - max(ago, float(frames / self._rate))
        ahead: float = times.outputBufferDacTime - times.currentTime
        return now + (ahead if 0 < ahead <= 1 else self._estimate)
