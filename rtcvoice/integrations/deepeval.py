"""A call as the voice connector of a DeepEval conversation simulation.

    from rtcvoice.integrations.deepeval import RtcVoiceConnector

    config = VoiceConfig(connector=RtcVoiceConnector(instructions="You sell flights."), ...)

Their simulator, metrics and reports work on a real WebRTC call, both sides at once. Needs
`deepeval` (`pip install "rtcvoice[deepeval]"`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar

from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.sound.samples import DEFAULT_RATE
from rtcvoice.system.extras import install_extra

from .voice_line import MOST, Heard, VoiceLine

try:
    from deepeval.voice.connectors import audio_utils
    from deepeval.voice.connectors.transports.base import BaseVoiceConnector
    from deepeval.voice.connectors.types import AgentEvent, ConnectorTurn
    from deepeval.voice.protocol import VoiceProtocol
    from deepeval.voice.streaming import pcm_to_audio
except ImportError as exc:
    raise ConfigError(
        "DeepEval with its voice mode is not installed", hint=install_extra("deepeval")
    ) from exc

__all__ = ["RtcVoiceConnector"]

LOOK = 0.05
"""Seconds between two looks whether an answer is over."""


class RtcVoiceConnector(BaseVoiceConnector):  # type: ignore[misc]
    """The agent under test, called by rtcvoice. `options` are those of `rtcvoice.connect`.

    turn_seconds: how long an answer may take. What the agent says and hears is transcribed by the
    service itself. `clone` makes another call of the same options.
    """

    protocol: ClassVar[Any] = VoiceProtocol.WEBRTC

    def __init__(self, *, turn_seconds: float = 30.0, **options: Any) -> None:
        self._options = options
        self._line = VoiceLine(options)
        self._events: asyncio.Queue[Any] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.max_turn_timeout_s = turn_seconds

    def clone(self) -> RtcVoiceConnector:
        """Return another one of the same options, for a parallel call."""
        return RtcVoiceConnector(turn_seconds=self.max_turn_timeout_s, **self._options)

    @property
    def rtc_call(self) -> Any:
        """The call. Raises ConfigError while there is none."""
        return self._line.call

    @property
    def audio_format(self) -> tuple[int, str]:
        """What it takes and gives: WAV at 24 kHz."""
        return DEFAULT_RATE, "wav"

    @property
    def supports_duplex(self) -> bool:
        """The agent is heard while the caller speaks."""
        return True

    @property
    def signals_turn_complete(self) -> bool:
        """The end of an answer is told: a pause in it is a pause."""
        return True

    @property
    def call_ended(self) -> bool:
        """Whether the call is over."""
        return not self._line.is_open

    async def connect(self) -> None:
        """Make the call. Raises as `rtcvoice.connect`."""
        call = await self._line.open()
        self._events = asyncio.Queue()
        self._offset = time.perf_counter() - asyncio.get_running_loop().time()
        self._tasks = [
            asyncio.create_task(self._hear(), name="rtcvoice deepeval sound"),
            asyncio.create_task(self._read(call), name="rtcvoice deepeval words"),
        ]

    async def disconnect(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._line.close()

    async def stream_uplink(self, audio: Any, *, trailing_silence: bool = True) -> None:
        """Say it, in real time; silence follows by itself."""
        pcm, rate, channels = audio_utils.wav_bytes_to_pcm16(audio.get_bytes())
        await self._line.say(audio_utils.downmix_to_mono(pcm, channels or 1), rate)

    async def stop_uplink(self) -> None:
        """Say nothing more of what is being said."""
        self._line.stop()

    async def iter_agent_events(self) -> AsyncIterator[Any]:
        """Yield what the agent says, as sound and words, until the call is over."""
        if self._events is None:
            raise ConfigError("there is no call yet", hint="connect() comes first")
        while True:
            event = await self._events.get()
            yield event
            if event.call_ended:
                self._events.put_nowait(event)
                return

    def drain_downlink(self) -> None:
        """Forget what is left of the answer before."""
        self._line.forget()
        while self._events is not None and not self._events.empty():
            event = self._events.get_nowait()
            if event.call_ended:
                self._events.put_nowait(event)
                return

    async def exchange_turn(self, audio: Any) -> Any:
        """Say it, and return the answer. Raises CallEnded when the call is over."""
        self.drain_downlink()
        began = time.perf_counter()
        await self.stream_uplink(audio)
        said = time.perf_counter()
        pcm, words, heard = bytearray(), "", ""
        first: float | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self.max_turn_timeout_s):
                async for event in self.iter_agent_events():
                    if event.audio:
                        first = first if first is not None else event.received_at
                        pcm += event.audio
                    words, heard = event.transcript or words, event.provider_transcript or heard
                    if event.turn_complete or event.call_ended:
                        break
        return ConnectorTurn(
            audio=pcm_to_audio(bytes(pcm) or bytes(2), DEFAULT_RATE),
            transcript=words or None,
            provider_transcript=heard or None,
            latency_ms=max(0.0, (first - said) * 1000) if first is not None else None,
            input_audio_started_at=began,
            input_audio_ended_at=said,
            audio_started_at=first,
        )

    async def _hear(self) -> None:
        heard: Heard | None = Heard(b"", 0.0)
        while heard is not None:
            heard = await self._line.hear()
            if heard is None:
                self._put(AgentEvent(call_ended=True, turn_complete=True))
            else:
                self._put(AgentEvent(audio=heard.pcm, received_at=heard.at + self._offset))

    async def _read(self, call: Any) -> None:
        said: list[str] = []
        ending: asyncio.Task[None] | None = None
        with suppress(CallEnded):
            async for turn in call.turns():
                if turn.role == "user":
                    said.clear()
                    self._put(AgentEvent(provider_transcript=turn.text))
                    continue
                said.append(turn.text)
                self._put(AgentEvent(transcript=" ".join(said)))
                if ending is None or ending.done():
                    ending = asyncio.create_task(self._end_turn(call), name="rtcvoice deepeval end")
                    self._tasks = [task for task in self._tasks if not task.done()] + [ending]

    async def _end_turn(self, call: Any) -> None:
        """Tell the end of an answer: a tool may run, and more of it come."""
        while not call.is_idle and self._line.is_open:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(LOOK)
        self._put(AgentEvent(turn_complete=True))

    def _put(self, event: Any) -> None:
        if self._events is None:
            return
        if self._events.qsize() >= MOST:
            self._events.get_nowait()  # nobody takes them: the oldest go
        self._events.put_nowait(event)
