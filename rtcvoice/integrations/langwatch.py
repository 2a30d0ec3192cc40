"""A call as the voice agent of a LangWatch scenario.

    from rtcvoice.integrations.langwatch import RtcVoiceAdapter

    result = await scenario.run(
        name="greeting",
        description="The caller says hello.",
        agents=[RtcVoiceAdapter(instructions="Sell flights."), scenario.UserSimulatorAgent(...)],
    )

Their simulator, judge and report work on a real WebRTC call. Needs `langwatch-scenario`
(`pip install "rtcvoice[langwatch]"`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.system.extras import install_extra

from .voice_line import VoiceLine

try:
    from scenario.voice.adapter import AgentStreamEndedError, VoiceAgentAdapter
    from scenario.voice.audio_chunk import AudioChunk
    from scenario.voice.capabilities import AdapterCapabilities
except ImportError as exc:
    raise ConfigError(
        "LangWatch's scenario package is not installed", hint=install_extra("langwatch")
    ) from exc

__all__ = ["RtcVoiceAdapter"]


class RtcVoiceAdapter(VoiceAgentAdapter):  # type: ignore[misc]
    """The agent under test, called by rtcvoice. `options` are those of `rtcvoice.connect`.

    `source` and `sink` are the scenario's. `call` is the call while there is one: with its tools,
    turns, figures and recording (`record=`). The executor connects and disconnects.
    """

    capabilities: ClassVar[Any] = AdapterCapabilities(
        interruption=True, input_formats=["pcm16/24000"], output_formats=["pcm16/24000"]
    )

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._line = VoiceLine(options)

    @property
    def rtc_call(self) -> Any:
        """The call. Raises ConfigError while there is none."""
        return self._line.call

    def is_connected(self) -> bool:
        """Whether the call is up."""
        return self._line.is_open

    async def connect(self) -> None:
        """Make the call. Raises as `rtcvoice.connect`."""
        await self._line.open()

    async def disconnect(self) -> None:
        """Hang up."""
        await self._line.close()

    async def send_audio(self, chunk: Any) -> None:
        """Say it, in real time."""
        try:
            await self._line.say(chunk.data)
        except CallEnded as exc:
            self.agent_hung_up = exc.normal
            raise AgentStreamEndedError(str(exc)) from exc

    async def recv_audio(self, timeout: float) -> Any:
        """Return the next 100 ms or so of what the agent says."""
        heard = await self._line.hear(timeout)
        if heard is None:
            end = self._line.end
            self.agent_hung_up = end is not None and end.normal
            raise AgentStreamEndedError(str(end))
        return AudioChunk(data=heard.pcm)

    async def interrupt(self) -> None:
        """Stop the agent's answer at once."""
        await self._line.call.interrupt()
        self._line.forget()
