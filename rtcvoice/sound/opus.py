"""Packet-level Opus (RFC 6716): encode, decode, in-band FEC, concealment; int16 mono.

Every PyAV wheel carries libopus 1.6 as a library of its own with the whole public API exported, so
`ctypes` reaches what PyAV's codec layer hides (concealment, FEC, settings that change during a
call) with no new dependency. A PyAV built from source uses the system's libopus, and so do we.

An object belongs to one thread at a time. Coding gives up the GIL. The two packet inspectors keep
it: they take less time than winning it back would.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import importlib.util
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rtcvoice.errors import RtcVoiceError
from rtcvoice.sound import numpy_later as np

from .samples import Samples, check_rate

__all__ = ["Decoder", "Encoder", "OpusError", "has_fec", "packet_samples", "version"]

_APPLICATION_VOIP = 2048
_SIGNAL_VOICE, _SIGNAL_MUSIC = 3001, 3002
_SET_BITRATE, _SET_COMPLEXITY, _SET_INBAND_FEC = 4002, 4010, 4012
_SET_PACKET_LOSS_PERC, _SET_SIGNAL, _RESET_STATE = 4014, 4024, 4028

_LONGEST_PACKET_MS = 120
_LARGEST_PACKET = 1275
"""Bytes of the largest single Opus frame (RFC 6716 §3.4); we code one frame per packet."""

_POINTER, _INT, _BYTES = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
# The *_ctl functions are variadic: only their fixed arguments may be declared (Apple's arm64 ABI
# passes the others differently).
_SIGNATURES: dict[str, tuple[Any, list[Any] | None]] = {
    "opus_decode": (_INT, [_POINTER, _BYTES, _INT, _POINTER, _INT, _INT]),
    "opus_decoder_create": (_POINTER, [_INT, _INT, _POINTER]),
    "opus_decoder_ctl": (_INT, [_POINTER, _INT]),
    "opus_decoder_destroy": (None, [_POINTER]),
    "opus_decoder_get_size": (_INT, [_INT]),
    "opus_encode": (_INT, None),  # called often: `Encoder` gives it C pointers, made once
    "opus_encoder_create": (_POINTER, [_INT, _INT, _INT, _POINTER]),
    "opus_encoder_ctl": (_INT, [_POINTER, _INT]),
    "opus_encoder_destroy": (None, [_POINTER]),
    "opus_get_version_string": (_BYTES, []),
    "opus_strerror": (_BYTES, [_INT]),
}


class OpusError(RtcVoiceError):
    """libopus is missing, or refused a packet or an argument; the message is libopus's own."""


def version() -> str:
    """Return the version of the libopus in use, for example `libopus 1.6.1`."""
    return str(_coder().opus_get_version_string().decode())


def packet_samples(payload: bytes, rate: int) -> int:
    """Return how many samples `payload` decodes to at `rate`; raise OpusError if it is garbage."""
    return _samples(payload[:2], rate)  # libopus itself looks no further (RFC 6716 §3)


@functools.lru_cache(maxsize=64)
def _samples(head: bytes, rate: int) -> int:
    count = _check(_inspector().opus_packet_get_nb_samples(head, len(head), rate))
    if not count:
        raise OpusError("packet without frames")
    return count


def has_fec(payload: bytes) -> bool:
    """Tell whether `payload` also carries a spare copy of the frame before it (LBRR).

    libopus before 1.4 cannot tell; then True means "not excluded by the coding mode", and
    `Decoder.recover` falls back to concealment by itself. Garbage is False.
    """
    inspect = getattr(_inspector(), "opus_packet_has_lbrr", None)
    if inspect is None:
        return bool(payload) and payload[0] < 0x80  # CELT-only packets never carry it
    return bool(payload) and inspect(payload, len(payload)) > 0


class Decoder:
    """Opus packets in, int16 mono out, at any Opus rate; stereo packets are mixed down.

    `decode`, `conceal` and `recover` continue one stream; `foresee` leaves it where it is. All four
    return a new array and raise OpusError, nothing else.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_buffer",
        "_decode",
        "_handle",
        "_longest",
        "_rate",
        "_size",
    )

    def __init__(self, rate: int) -> None:
        self._rate = check_rate(rate)
        library, error = _coder(), _INT()
        self._handle = library.opus_decoder_create(rate, 1, ctypes.byref(error))
        _check(error.value)
        weakref.finalize(self, library.opus_decoder_destroy, self._handle)
        self._size = library.opus_decoder_get_size(1)
        self._decode = library.opus_decode
        self._longest = rate * _LONGEST_PACKET_MS // 1000
        self._buffer: Samples = np.empty(self._longest, np.int16)
        self._address = self._buffer.ctypes.data

    @property
    def rate(self) -> int:
        """Sample rate of the output."""
        return self._rate

    def decode(self, payload: bytes) -> Samples:
        """Decode the next packet of the stream."""
        if not payload:  # libopus would take it for a loss
            raise OpusError("empty packet")
        return self._run(payload, self._longest, 0)

    def conceal(self, samples: int) -> Samples:
        """Invent what a lost packet held: a multiple of 2.5 ms, up to 120 ms."""
        return self._run(None, samples, 0)

    def foresee(self, samples: int) -> Samples:
        """Return what `conceal` would, and forget that it was asked."""
        with self.trial():
            return self.conceal(samples)

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """Forget, at the end, what was decoded meanwhile.

        libopus keeps a decoder in one piece of memory that may be copied (opus.h, OpusDecoder).
        """
        state = ctypes.string_at(self._handle, self._size)
        try:
            yield
        finally:
            ctypes.memmove(self._handle, state, self._size)

    def recover(self, following_payload: bytes, samples: int) -> Samples:
        """Rebuild a lost packet from the spare copy in the one after it (in-band FEC).

        `samples` is the length of the lost packet. Call `decode` with the following packet next.
        Without a spare copy inside (`has_fec`), this is `conceal`.
        """
        if not following_payload:
            raise OpusError("empty packet")
        return self._run(following_payload, samples, 1)

    def reset(self) -> None:
        """Forget the stream: the next packet begins another one."""
        _check(_coder().opus_decoder_ctl(self._handle, _RESET_STATE))

    def _run(self, payload: bytes | None, samples: int, fec: int) -> Samples:
        if samples > self._longest:
            raise OpusError(f"{samples} samples are more than {_LONGEST_PACKET_MS} ms")
        size = len(payload) if payload else 0
        count: int = self._decode(self._handle, payload, size, self._address, samples, fec)
        if count < 0:
            raise _refusal(count)
        return self._buffer[:count].copy()


class Encoder:
    """int16 mono in, Opus packets out, tuned for speech over a network that loses packets.

    `bitrate` in bit/s, `complexity` 0 to 10, `fec` spends part of the bitrate on a spare copy of
    the frame before as soon as `loss_percent` is at least 1. `plain` codes as for music, by CELT
    alone and without FEC: at 64 kbit/s a third of the work for a tenth of PESQ, at 32 much worse.
    All may change at any time and hold from the next packet on; what libopus refuses raises
    OpusError.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_bitrate",
        "_complexity",
        "_encode",
        "_fec",
        "_handle",
        "_loss_percent",
        "_packet",
        "_plain",
        "_rate",
    )

    def __init__(
        self,
        rate: int,
        *,
        bitrate: int = 32000,
        complexity: int = 5,
        fec: bool = True,
        loss_percent: int = 10,
    ) -> None:
        self._rate = check_rate(rate)
        library, error = _coder(), _INT()
        handle = library.opus_encoder_create(rate, 1, _APPLICATION_VOIP, ctypes.byref(error))
        _check(error.value)
        weakref.finalize(self, library.opus_encoder_destroy, handle)
        self._handle = _POINTER(handle)
        self._encode = library.opus_encode
        self._packet: Any = ctypes.create_string_buffer(_LARGEST_PACKET)
        self._address = _POINTER(ctypes.addressof(self._packet))
        self._fec, self._plain = fec, True
        self.plain = False
        self.bitrate = bitrate
        self.complexity = complexity
        self.loss_percent = loss_percent

    @property
    def rate(self) -> int:
        """Sample rate of the input."""
        return self._rate

    @property
    def bitrate(self) -> int:
        """Average bit/s of the packets, FEC included."""
        return self._bitrate

    @bitrate.setter
    def bitrate(self, value: int) -> None:
        self._set(_SET_BITRATE, value)
        self._bitrate = value

    @property
    def complexity(self) -> int:
        """0 (cheapest) to 10 (best)."""
        return self._complexity

    @complexity.setter
    def complexity(self, value: int) -> None:
        self._set(_SET_COMPLEXITY, value)
        self._complexity = value

    @property
    def fec(self) -> bool:
        """Whether packets may carry a spare copy of the one before."""
        return self._fec

    @fec.setter
    def fec(self, value: bool) -> None:
        self._fec = value
        self._set(_SET_INBAND_FEC, int(value and not self._plain))

    @property
    def plain(self) -> bool:
        """Whether it codes as for music, which is less work."""
        return self._plain

    @plain.setter
    def plain(self, value: bool) -> None:
        if value != self._plain:
            self._plain = value
            self._set(_SET_SIGNAL, _SIGNAL_MUSIC if value else _SIGNAL_VOICE)
            self.fec = self._fec

    @property
    def loss_percent(self) -> int:
        """Loss to be prepared for, 0 to 100; 0 sends no FEC."""
        return self._loss_percent

    @loss_percent.setter
    def loss_percent(self, value: int) -> None:
        self._set(_SET_PACKET_LOSS_PERC, value)
        self._loss_percent = value

    def set_effort(self, complexity: int, *, plain: bool) -> None:
        """Set `complexity` and `plain`; quick where they are so already, which is most often."""
        if plain is not self._plain:
            self.plain = plain
        if complexity != self._complexity:
            self.complexity = complexity

    def encode(self, samples: Samples) -> bytes:
        """Code one packet: 2.5, 5, 10, 20, 40 or 60 ms of int16 mono at `rate`."""
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise OpusError(f"mono int16 samples wanted, not {samples.dtype} of {samples.shape}")
        pcm = samples.tobytes()  # quicker than asking numpy for an address
        count = self._encode(self._handle, pcm, samples.size, self._address, _LARGEST_PACKET)
        if count < 0:
            _check(count)
        packet: bytes = self._packet[:count]
        return packet

    def _set(self, request: int, value: int) -> None:
        _check(_coder().opus_encoder_ctl(self._handle, request, _INT(value)))


def _check(result: int) -> int:
    if result < 0:
        raise _refusal(result)
    return result


def _refusal(result: int) -> OpusError:
    return OpusError(_coder().opus_strerror(result).decode())


@functools.cache
def _path() -> str:
    """Return where libopus is: beside PyAV, or where the system has it."""
    spec = importlib.util.find_spec("av")
    for av in (spec and spec.submodule_search_locations) or ():
        # av.libs/libopus-*.so or *.dll, av/.dylibs/libopus.0.dylib; the name may carry a hash. No
        # metadata of packages is asked for: programs that were frozen or vendored have none.
        for folder in (Path(av).parent / "av.libs", Path(av) / ".dylibs", Path(av)):
            for file in sorted(folder.glob("libopus[-.]*")):
                return str(file)
    if path := ctypes.util.find_library("opus"):
        return path
    raise OpusError(
        "libopus was found neither in the installed PyAV nor on this system",
        hint="pip install --only-binary=av av, or apt install libopus0, or brew install opus",
    )


@functools.cache
def _coder() -> ctypes.CDLL:
    library: ctypes.CDLL = _load(ctypes.CDLL)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@functools.cache
def _inspector() -> ctypes.PyDLL:
    library: ctypes.PyDLL = _load(ctypes.PyDLL)
    library.opus_packet_get_nb_samples.argtypes = [_BYTES, _INT, _INT]
    if hasattr(library, "opus_packet_has_lbrr"):  # since libopus 1.4
        library.opus_packet_has_lbrr.argtypes = [_BYTES, _INT]
    return library


def _load(loader: Any) -> Any:
    try:
        return loader(_path())
    except OSError as exc:
        raise OpusError(
            f"libopus cannot be loaded: {exc}", hint="pip install --force-reinstall av"
        ) from exc
