"""Pictures and sound of the conversation, which are large: the newest of each are kept; pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from .records import Part

__all__ = ["KeptAudio", "KeptImages"]

IMAGES_KEPT = 16 << 20
"""Characters of pictures, as data URIs, that are kept; older ones are let go of."""

AUDIO_KEPT = 4 << 20
"""Characters of sound that we sent, as base64, that are kept for another session: 65 s."""


class _Kept(ABC):
    """Parts with something large, from the oldest to the newest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: deque[Part] = deque()
        self._size = 0

    def _add(self, part: Part, size: int) -> None:
        self._parts.append(part)
        self._size += size
        while self._size > self._most and len(self._parts) > 1:
            self._size -= self._forget(self._parts.popleft())

    @abstractmethod
    def _forget(self, part: Part) -> int:
        """Let go of what a part has; return its size."""


class KeptImages(_Kept):
    """The newest pictures."""

    def __init__(self, most: int = IMAGES_KEPT) -> None:
        super().__init__(most)

    def keep(self, part: Part, url: str) -> None:
        """Keep the picture of a part, unless it was let go of before."""
        if not part.image_url and not part.dropped:
            part.image_url = url
            self._add(part, len(url))

    def _forget(self, part: Part) -> int:
        size = len(part.image_url or "")
        part.image_url, part.dropped = None, True
        return size


class KeptAudio(_Kept):
    """The newest sound that we sent."""

    def __init__(self, most: int = AUDIO_KEPT) -> None:
        super().__init__(most)

    def keep(self, part: Part, audio: str) -> None:
        """Keep the sound of a part, unless it was let go of before."""
        if part.kind == "audio" and part.audio is None and not part.dropped:
            part.audio = audio
            self._add(part, len(audio))

    def _forget(self, part: Part) -> int:
        size = len(part.audio or "")
        part.audio, part.dropped = None, True
        return size
