"""What the user gives to `send` and `ask` becomes items: text, images, recorded speech."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from rtcvoice.capture.file import load_file
from rtcvoice.conversation.asking import content
from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.errors import ConfigError
from rtcvoice.events import Item
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples
from rtcvoice.sound.sound_file import AudioFile
from rtcvoice.system.threads import in_thread

__all__ = ["Clip", "Image", "clip_of", "message_items"]

Image: TypeAlias = str | os.PathLike[str] | bytes
"""A PNG or JPEG: a path, the bytes of the file, or a data URI."""

Clip: TypeAlias = "AudioFile | Samples | tuple[Samples, int]"
"""Recorded speech: a path, an open file, or int16 mono samples, at 24 kHz or with their rate."""


async def message_items(
    text: str, images: Sequence[Image], audio: Clip | None, *, limit: int
) -> list[Item]:
    """Return the items of a message; none is larger than `limit` bytes.

    Raises ConfigError for an image or a clip that cannot be sent, DeviceError for a clip that
    cannot be read. Whatever takes more than a moment runs in a thread.
    """
    if isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Iterable):
        raise ConfigError("images= is not a list of images", hint="pass images=[...]")
    parts = []
    for image in images:
        read = await in_thread(content.read_image, image)
        parts.append(await asyncio.to_thread(content.image_part, read, limit=limit))
    items: list[Item] = []
    if audio is not None:
        samples = await _samples(audio)
        ids = iter(new_id, None)
        items = await asyncio.to_thread(content.audio_messages, ids, samples, limit=limit)
    if text or parts or not items:
        items += content.user_messages(new_id, text, parts, limit=limit)
    return items


async def clip_of(audio: Clip) -> Samples:
    """Return a clip that is to be heard as int16 mono at 24 kHz.

    Raises ConfigError for what cannot be one, DeviceError for a file that cannot be read.
    """
    samples = await _samples(audio)
    content.check_clip(len(samples) / DEFAULT_RATE)
    return samples


async def _samples(audio: Clip) -> Samples:
    pair = audio if isinstance(audio, tuple) and len(audio) == 2 else (audio, DEFAULT_RATE)
    samples: Any = pair[0]
    if isinstance(samples, str | os.PathLike) or hasattr(samples, "read"):
        return await load_file(samples, longest=content.LONGEST_CLIP)
    if not isinstance(samples, np.ndarray) or samples.dtype != np.int16 or samples.ndim != 1:
        raise ConfigError(
            "audio= is neither a file nor int16 mono samples",
            hint="pass 'clip.wav', an open file, an int16 array at 24 kHz, or (array, rate)",
        )
    return await asyncio.to_thread(content.clip_samples, samples, pair[1])
