"""Settings and faults in Python are refused when they are given, with the words that YAML has."""

from __future__ import annotations

import asyncio

import pytest
from live import BentEmulator, calling

from rtcvoice import Network, OneWay
from rtcvoice.emulator import AnswerShape, BackgroundEmulator, Emulator, Failure, Faults, Pace, Turn
from rtcvoice.emulator.fault_parser import parse_faults
from rtcvoice.emulator.session.assistant import Assistant
from rtcvoice.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_stray_errors")


@pytest.mark.parametrize(
    ("kind", "given", "said", "cure"),
    [
        (Faults, {"frozenafter": 2}, "there is no 'frozenafter'", "did you mean 'frozen_after'?"),
        (Faults, {"frozen_after": "2"}, "frozen_after: '2' cannot be", "a number"),
        (Faults, {"ice_silent": 1}, "ice_silent: 1 cannot be", "true or false"),
        (Faults, {"http_only": "offer"}, "http_only: 'offer' cannot be", "token, call"),
        (Faults, {"http_times": 1.5}, "http_times: 1.5 cannot be", "a whole number"),
        (Faults, {"reply_error": 500}, "reply_error: 500 cannot be", "text"),
        (Faults, {"network": 0.1}, "network: 0.1 cannot be", "rtcvoice.Network"),
        (Faults, {"network": {"los": 0.1}}, "there is no 'los'", "did you mean 'loss'?"),
        (Network, {"loss": 0.1}, "loss= is of one direction", "network={'loss': ...}"),
        (OneWay, {"delay": None}, "delay: None cannot be", "a number"),
        (OneWay, {"delay": -1}, "delay=-1.0 is negative", ""),
        (Pace, {"response_latancy": 1}, "there is no 'response_latancy'", "'response_latency'?"),
        (Pace, {"lead_deltas": 1.5}, "lead_deltas: 1.5 cannot be", "a whole number"),
        (AnswerShape, {"ice_lite": "no"}, "ice_lite: 'no' cannot be", "true or false"),
        (Failure, {"code": 500}, "code: 500 cannot be", "text"),
        (Emulator, {"port": "8080"}, "Emulator, port: '8080' cannot be", "a whole number"),
        (Emulator, {"port": -1}, "port=-1 is negative", ""),
        (Emulator, {"host": None}, "host: None cannot be", "text"),
        (Emulator, {"pace": 0.1}, "pace: 0.1 cannot be", "rtcvoice.emulator.Pace"),
        (Emulator, {"shape": "lite"}, "shape: 'lite' cannot be", "rtcvoice.emulator.AnswerShape"),
        (Emulator, {"faults": "hang"}, "faults: 'hang' cannot be", "rtcvoice.emulator.Faults"),
        (Emulator, {"faults": {"htp": "hang"}}, "there is no 'htp'", "did you mean 'http'?"),
        (Emulator, {"api_keys": [1]}, "api_keys: [1] cannot be", "a list of texts"),
        (Emulator, {"duration": "1 h"}, "duration: '1 h' cannot be", "a number"),
        (Emulator, {"record": 3}, "record: 3 cannot be", "text"),
        (Emulator, {"most_calls": 0}, "most_calls=0 lets nobody call", "1 or more"),
        (Emulator, {"record_limit": -1}, "record_limit=-1 is negative", ""),
        (BackgroundEmulator, {"scirpt": []}, "there is no 'scirpt'", "did you mean 'script'?"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_given(kind, given, said, cure):
    with pytest.raises(ConfigError) as caught:
        kind(**given)
    assert said in str(caught.value)
    assert cure in (caught.value.hint or "")


def test_python_and_yaml_say_the_same_of_a_wrong_fault():
    for wrong in ({"frozenafter": 2}, {"http": "teapot"}, {"frozen_after": "soon"}):
        with pytest.raises(ConfigError) as in_python:
            Faults(**wrong)
        with pytest.raises(ConfigError) as in_yaml:
            parse_faults(wrong, source="Faults")
        assert str(in_python.value) == str(in_yaml.value)


async def test_faults_set_anew_are_checked_as_well():
    server = Emulator()
    server.faults = Faults(http_delay=1)
    with pytest.raises(ConfigError, match="faults"):
        server.faults = "hang"
    assert server.faults == Faults(http_delay=1.0)


async def test_a_mistake_of_a_persona_is_named_and_the_call_goes_on(monkeypatch):
    """Seen with an attribute that an answer's call lacked: only "the server closed" was told."""
    respond = Assistant.respond
    broken = iter([True])

    def fails_once(self, context):
        if next(broken, False):
            raise AttributeError("'str' object has no attribute 'name'")
        return respond(self, context)

    monkeypatch.setattr(Assistant, "respond", fails_once)
    async with BentEmulator() as server, calling(server) as call:
        errors = call.events("error")
        await call.send("Hello.")
        async with asyncio.timeout(20):
            told = (await anext(errors)).error
        assert told.code == "emulator_failed"
        assert "'str' object has no attribute 'name'" in told.message
        assert told.message in server.last().warnings
        assert await (await call.ask("Hello again.")).text()


async def test_calls_written_as_in_yaml_are_called():
    turn = Turn(calls={"get_weather": {"city": "Rome"}}, then=Turn(says="It is {result}."))
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    async with BentEmulator(script=[turn]) as server, calling(server, tools=[tool]) as call:
        asked = call.events("response.function_call_arguments.done")
        await call.send("Is it warm?")
        async with asyncio.timeout(20):
            event = await anext(asked)
        assert (event.name, event.arguments) == ("get_weather", '{"city": "Rome"}')
