"""Client events of the Live dialect gone wrong, by a seeded generator; as `mutations.py`."""

from __future__ import annotations

import json
from random import Random

from emulator_driver import silence, speech
from live_driver import BACKEND, WEATHER, LiveDriver, pcm

QUESTION = {"type": "predicate", "instructions": [{"type": "input_text", "text": "?"}], "name": "q"}
CHOICE = {"type": "choice", "instructions": "?", "choices": [{"value": "a"}, {"value": True}]}
MESSAGE = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "weather"}],
}
VALID = [
    {"type": "session.update", "session": {}},
    {
        "type": "session.update",
        "event_id": "mine",
        "session": {
            "delegation": {
                "type": "responses",
                "acknowledgement_delay_ms": 10,
                "responses": {"tools": [WEATHER], "tool_choice": "required"},
            },
            "triggers": [
                {
                    "type": "decisions",
                    "event_type": "session.output_transcript.delta",
                    "decisions": {"questions": [QUESTION, CHOICE]},
                }
            ],
        },
    },
    {"type": "session.close"},
    {"type": "session.input_audio.mute"},
    {"type": "session.input_audio.unmute", "event_id": "mine"},
    {"type": "session.instructions.append", "content": "Stop.", "delegation_id": None},
    {"type": "session.thinking.append", "content": "x", "delegation_id": None},
    {"type": "session.commentary.append", "content": "Hello there.", "delegation_id": None},
    {"type": "session.commentary.append", "content": "Greet the user.", "delegation_id": None},
    {"type": "response.item.create", "item": MESSAGE},
    {
        "type": "response.item.create",
        "item": {"type": "function_call_output", "call_id": "call_x", "output": "{}"},
    },
    {"type": "response.create", "event_id": "mine"},
    {"type": "decision.create", "event_id": "one"},
    {"type": "decision.item.create", "item": {**MESSAGE, "id": "item_1"}},
    {"type": "decision.item.delete", "item_id": "item_1"},
    {"type": "session.output_audio.fixture.play", "audio": pcm(speech(0.1))},
    {"type": "transport.dtmf.send", "event": "1"},
]
JUNK = [None, True, -1, 1e300, "", "\ud800", "x" * 3000, [], {}, [[]], {"type": "message"}, "call_"]
SESSIONS = [
    {"delegation": BACKEND, "store": True},
    {"delegation": {"type": "decisions", "decisions": {"model": "m", "questions": [CHOICE]}}},
    {"idle_timeout_s": 1, "wake_policy": {"type": "speech"}},
    {"client": {"data_channel": {"allowed_client_events": [], "allowed_server_events": []}}},
]


def mutated(random: Random) -> dict:
    """A valid event; often with one place of it replaced, removed or added to."""
    event = json.loads(json.dumps(random.choice(VALID)))
    spot = event
    while random.random() < 0.7:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        if not keys:
            break
        key = random.choice(keys)
        if isinstance(spot[key], dict | list) and random.random() < 0.7:
            spot = spot[key]
            continue
        action = random.choice(("replace", "remove", "add"))
        if action == "replace":
            spot[key] = random.choice(JUNK)
        elif action == "remove":
            del spot[key]
        elif isinstance(spot, dict):
            spot[random.choice(("x", "type", "item", "session"))] = random.choice(JUNK)
        break
    return event


class LiveSiege:
    """Drives one session with what a client should not send, and with speech."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.events = 0

    def session(self, steps: int) -> LiveDriver:
        driver = LiveDriver(self.random.choice(SESSIONS), fixtures_on_channel=True)
        for _ in range(steps):
            if driver.closed_for is not None:
                break
            self.step(driver)
        driver.session.hang_up(driver.now)
        driver.run(3.0)
        return driver

    def step(self, driver: LiveDriver) -> None:
        self.events += 1
        random = self.random
        match random.randrange(10):
            case 0:
                driver.hear(speech(random.uniform(0.1, 1.5)))
            case 1:
                driver.hear(silence(random.uniform(0.1, 3.0)))
            case 2:
                driver.run(random.uniform(0.0, 1.0))
            case 3:
                text = json.dumps(mutated(random))
                cut = random.randrange(len(text))
                driver.send_text(text[:cut] + random.choice(("", "\0", "}", '"')))
            case 4 if driver.inner():
                ids = [
                    e["item"]["call_id"] for e in driver.inner() if "call_id" in e.get("item", {})
                ]
                item = {"type": "function_call_output", "call_id": "", "output": "1"}
                item["call_id"] = random.choice([*ids, "call_x"])
                driver.send("response.item.create", item=item)
            case _:
                answer = driver.send_text(
                    json.dumps(mutated(random)), trusted=random.random() < 0.5
                )
                assert sum(event["type"] == "error" for event in answer) <= 1 + 128
