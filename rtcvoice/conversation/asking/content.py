"""Builds what a user puts into the conversation: text, images, recorded audio; pure.

The API takes images as data URIs in PNG or JPEG and audio as base64 of 24 kHz PCM, inside an event
that has to fit into one message of the channel. What does not fit is said before it is sent: a
channel that is given too much closes without a word.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rtcvoice import events
from rtcvoice.conversation.state.chat_format import check_text
from rtcvoice.errors import ConfigError
from rtcvoice.events import ContentPart
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import resampler
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

__all__ = [
    "audio_messages",
    "clip_samples",
    "following_ids",
    "image_part",
    "read_image",
    "user_messages",
]

ENVELOPE = 1024
"""Bytes of an event beside the image or audio in it, at most."""

LARGEST_MESSAGE = 512 * 1024
"""Bytes of an event, however much the server takes: more would hold up all others too long."""

LARGEST_IMAGE = 64 << 20
"""Bytes of a file that are read as an image; no server takes as many."""

LONGEST_CLIP = 300
"""Seconds of a clip; longer ones are for `FileSource`, which sends them in real time."""

LOWEST_RATE, HIGHEST_RATE = 1000, 384000
"""Hz of samples that a clip may have."""

LEAST_CLIP = 0.1
"""Seconds of the shortest audio that the API takes."""

_LEAST = round(LEAST_CLIP * DEFAULT_RATE)

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
_DATA_URI = re.compile(r"data:image/(png|jpe?g);base64,", re.IGNORECASE)


def read_image(image: str | os.PathLike[str] | bytes) -> str | bytes:
    """Return a data URI as it is and a file's content; reads a file, so not on the event loop.

    Raises ConfigError for a file that cannot be read.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str) and image.startswith("data:"):
        return image
    if isinstance(image, str) and re.match(r"https?://", image):
        raise ConfigError(
            f"the image {image} is not on this machine", hint="the API takes no web addresses"
        )
    try:
        with Path(image).open("rb") as file:  # may be a device without an end
            return file.read(LARGEST_IMAGE + 1)
    except (OSError, TypeError, ValueError) as exc:
        raise ConfigError(
            f"the image {image!r:.200} cannot be read: {exc}",
            hint="pass a path, the bytes of a PNG or JPEG file, or a data URI",
        ) from exc


def image_part(image: str | bytes, *, limit: int) -> ContentPart:
    """Return the content part of a data URI or of the bytes of a file.

    `limit` is the most that a message of the channel holds, in bytes. Raises ConfigError for what
    is neither PNG nor JPEG, and for what is too large.
    """
    data = _decoded(image) if isinstance(image, str) else image
    kind = next((kind for mark, kind in _SIGNATURES.items() if data.startswith(mark)), None)
    if kind is None:
        raise ConfigError("the image is neither PNG nor JPEG", hint="convert it to one of them")
    most = max(0, (min(limit, LARGEST_MESSAGE) - 2 * ENVELOPE) * 3 // 4)
    if len(data) > most:
        raise ConfigError(
            f"the image has {len(data)} bytes, and the most that fits into an event is {most}",
            hint="make it smaller: JPEG at 768 pixels is plenty for the models",
        )
    encoded = base64.b64encode(data).decode()
    return ContentPart(type="input_image", image_url=f"data:image/{kind};base64,{encoded}")


def _decoded(uri: str) -> bytes:
    head = _DATA_URI.match(uri)
    if head is None:
        raise ConfigError(
            f"{uri[:40]!r} is not a data URI of a PNG or JPEG image",
            hint="it begins with data:image/png;base64, or data:image/jpeg;base64,",
        )
    try:
        return base64.b64decode(uri[head.end() :], validate=True)
    except ValueError as exc:
        raise ConfigError(f"the data URI of the image is not valid base64: {exc}") from exc


def user_messages(
    new_id: Callable[[], str], text: str, images: list[ContentPart], *, limit: int
) -> list[events.Item]:
    """Return the item for images and a text, or several where one message cannot hold them.

    The text comes last; that it fits is judged when it is sent. Raises ConfigError if there is
    nothing in it.
    """
    check_text(text, "what is sent")
    parts = images + ([ContentPart(type="input_text", text=text)] if text.strip() else [])
    if not parts:
        raise ConfigError("there is nothing to send", hint="give a text, an image or a clip")
    most = min(limit, LARGEST_MESSAGE) - ENVELOPE
    messages: list[list[ContentPart]] = [[]]
    for part in parts:
        if messages[-1] and sum(map(_size, messages[-1])) + _size(part) > most:
            messages.append([])
        messages[-1].append(part)
    return [events.Message(id=new_id(), role="user", content=each) for each in messages]


def _size(part: ContentPart) -> int:
    return len(msgspec.json.encode(part.text or part.image_url or ""))


def check_clip(seconds: float) -> None:
    """Raise ConfigError for a clip that is shorter than 0.1 s or longer than 5 minutes."""
    if LEAST_CLIP <= seconds <= LONGEST_CLIP:
        return
    longer = f"is longer than {LONGEST_CLIP} s"
    raise ConfigError(
        f"the clip {longer if seconds > LONGEST_CLIP else f'lasts {seconds:.2f} s'};"
        f" it can be {LEAST_CLIP:g} to {LONGEST_CLIP} s long",
        hint="for a longer one use source=rtcvoice.FileSource(...), which sends in real time",
    )


def clip_samples(samples: Samples, rate: int) -> Samples:
    """Return a clip's samples at 24 kHz; not for the event loop. Raises ConfigError."""
    if not isinstance(rate, int | np.integer) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(
            f"audio= has the rate {rate!r}",
            hint=f"pass (array, rate) with a whole rate of {LOWEST_RATE} to {HIGHEST_RATE} Hz",
        )
    check_clip(len(samples) / rate)
    if rate == DEFAULT_RATE:
        return samples
    converter = resampler(from_rate=int(rate), to_rate=DEFAULT_RATE)
    # Second by second: what runs beside it is to get the interpreter in between.
    return np.concatenate(
        [converter.process(samples[at : at + rate]) for at in range(0, len(samples), int(rate))]
    )


def following_ids(first: str, new_id: Callable[[], str]) -> Iterator[str]:
    """Give `first`, and then new ids without an end."""
    yield first
    while True:
        yield new_id()


def audio_messages(item_ids: Iterator[str], samples: Samples, *, limit: int) -> list[events.Item]:
    """Return the items for a recorded clip: one, or several where one message cannot hold it.

    `samples` is int16 mono at 24 kHz. It is parted where it is quietest. Raises ConfigError for a
    clip that is shorter than 0.1 s or longer than 5 minutes.
    """
    check_clip(len(samples) / DEFAULT_RATE)
    most = (min(limit, LARGEST_MESSAGE) - ENVELOPE) * 3 // 4 // 2
    if most < 2 * _LEAST:  # its pieces would be too short to be taken
        raise ConfigError(
            f"no clip can be sent: the server takes messages of at most {limit} bytes",
            hint="use source=rtcvoice.FileSource(...), which sends it as speech",
        )
    return [
        events.Message(
            id=next(item_ids),
            role="user",
            content=[ContentPart(type="input_audio", audio=_encoded(piece))],
        )
        for piece in _parted(samples, most)
    ]


def _encoded(samples: Samples) -> str:
    return base64.b64encode(samples.astype("<i2").tobytes()).decode()


def _parted(samples: Samples, most: int) -> Iterator[Samples]:
    while len(samples) > most:
        # Not so late that what remains would be too short to be taken.
        cut = _quietest(samples, most * 2 // 3, min(most, len(samples) - _LEAST))
        yield samples[:cut]
        samples = samples[cut:]
    yield samples


def _quietest(samples: Samples, begin: int, end: int) -> int:
    """Return the middle of the quietest 20 ms between two positions."""
    block = DEFAULT_RATE // 50
    count = (end - begin) // block
    if count < 1:
        return end
    blocks = samples[begin : begin + count * block].reshape(count, block).astype(np.int64)
    return begin + int(np.argmin((blocks**2).sum(axis=1))) * block + block // 2
