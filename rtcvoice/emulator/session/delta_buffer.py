"""The assistant's audio on a WebSocket: it leaves in events as fast as it is made.

The server keeps none of it and does not know what is heard, so nothing starts, stops or is cleared
here: the client plays, stops and truncates. What is handed to the shell besides is for recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice.emulator.session.output_buffer import Cut, Stream, StreamState
from rtcvoice.emulator.session.outputs import Outbox, Pcm, PlayAudio, StopAudio
from rtcvoice.emulator.session.wire_audio import AudioWriter

__all__ = ["DeltaBuffer"]


class DeltaBuffer:
    """In place of an `OutputBuffer`. `instant`: no audio is sent at all."""

    def __init__(
        self, outbox: Outbox, *, on_idle: Callable[[], None], instant: bool = False
    ) -> None:
        self._outbox = outbox
        self._on_idle = on_idle
        self._instant = instant
        self._writers: dict[str, AudioWriter] = {}  # of the responses that are being made

    @property
    def idle(self) -> bool:
        """Whether nothing is being made."""
        return not self._writers

    def open(
        self,
        response_id: str,
        audio_format: dict[str, Any],
        *,
        heard_out: Callable[[], None] | None = None,
    ) -> Stream:
        """Return a new stream. Nobody can tell whether it is `heard_out`."""
        self._writers[response_id] = AudioWriter(audio_format)
        return Stream(response_id)

    def write(self, stream: Stream, where: dict[str, Any], samples: Pcm) -> None:
        """Send audio of the item that `where` names; dropped when the stream has ended."""
        writer = self._writers.get(stream.response_id)
        if writer is None or stream.state is StreamState.ENDED or self._instant:
            return
        if delta := writer.write(samples):
            self._outbox.send("response.output_audio.delta", **where, delta=delta)
            self._outbox.put(PlayAudio(samples, stream.response_id))

    def close(self, stream: Stream) -> None:
        """Say that the response of `stream` is done."""
        stream.state = StreamState.ENDED
        self._writers.pop(stream.response_id, None)
        if self.idle:
            self._on_idle()

    def clear(self) -> list[Cut]:
        """Note that the client is to fall silent; what was cut off, it has to tell."""
        self._outbox.put(StopAudio())
        return []
