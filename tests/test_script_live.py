"""A script over the wire: a clip known behind a lossy network, a tool called, its result told."""

from checked import assert_events_are_correct
from live import again_if_late

import rtcvoice
from rtcvoice import Network, OneWay
from rtcvoice.emulator import Emulator, Faults, Pace, Turn, prompt_path

SCRIPT = [
    Turn(
        clip="ask-weather",
        says="one-moment",
        calls=[{"get_weather": {"city": "Paris"}}],
        then=Turn(says="It is {result} degrees."),
    )
]


@again_if_late
async def test_a_spoken_question_is_known_by_its_sound_and_answered_by_a_tool() -> None:
    asked = []

    def get_weather(city: str) -> int:
        """Tell the temperature."""
        asked.append(city)
        return 22

    faults = Faults(network=Network(uplink=OneWay(loss=0.05, jitter=0.02), seed=1))
    async with Emulator(script=SCRIPT, faults=faults, pace=Pace(response_latency=0.05)) as server:
        async with rtcvoice.connect(
            base_url=server.url,
            api_key="sk-test",
            source=rtcvoice.FileSource(prompt_path("ask-weather")),
            sink=None,
            tools=[get_weather],
        ) as call:
            said = await call.wait_for(
                "response.output_audio_transcript.done",
                where=lambda event: event.transcript.startswith("It is"),
                timeout=15,
            )
        assert said.transcript == "It is 22 degrees."
        assert asked == ["Paris"]
        assert not server.calls[call.id].warnings
        events = [entry.event for entry in server.calls[call.id].events]
        (heard,) = [e for e in events if e["type"].endswith("transcription.completed")]
        assert heard["transcript"] == "What is the weather in Paris?"
        assert_events_are_correct(server)
