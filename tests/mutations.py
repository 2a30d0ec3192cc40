"""Client events gone wrong, by a seeded generator: what a session core has to survive.

A `Siege` drives sessions with mutated events, mangled texts, speech and silence; every event that
comes back is checked as always (`emulator_driver`). Used by the suite and by scripts/fuzz_emulator.
"""

import json
from random import Random

from emulator_driver import Driver, silence, speech

USER = {"type": "message", "role": "user"}
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
    },
}
VALID = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "x"}},
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {
                    "turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000},
                    "transcription": {"model": "whisper-1"},
                    "noise_reduction": {"type": "near_field"},
                },
                "output": {"voice": "ash", "speed": 1.1},
            },
            "tools": [TOOL],
            "tool_choice": "auto",
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
            "reasoning": {"effort": "low"},
        },
    },
    {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
    },
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}},
        },
    },
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {
            **USER,
            "id": "mine",
            "content": [{"type": "input_text", "text": "A long story about the weather in Rome"}],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {
            **USER,
            "content": [
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                {"type": "input_audio", "audio": "AAAA" * 100},
            ],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call", "output": '{"a": [1]}'},
    },
    {"type": "conversation.item.retrieve", "item_id": "mine"},
    {"type": "conversation.item.delete", "item_id": "mine"},
    {
        "type": "conversation.item.truncate",
        "item_id": "mine",
        "content_index": 0,
        "audio_end_ms": 1,
    },
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    {"type": "response.create", "event_id": "event"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "metadata": {"a": "b"},
            "output_modalities": ["text"],
            "max_output_tokens": 7,
            "input": [{"type": "item_reference", "id": "mine"}],
        },
    },
    {
        "type": "response.create",
        "response": {"tools": [TOOL], "tool_choice": "required", "instructions": ""},
    },
    {"type": "response.create", "response": {"audio": {"output": {"voice": "echo"}}}},
    {"type": "response.cancel"},
]
_ODD = [
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, -0.0, 0.5, 1e308, "", "x", "root", "auto"),
    *("none", "realtime", "mine", "call", "inf", "\ud800", "\x00", "a" * 600, [], {}, [[]]),
    *([None], {"": None}, {"type": "x"}, [1, "x", {}]),
]


def mutated(random):
    """A valid event with one to three places of it changed."""
    event = json.loads(json.dumps(random.choice(VALID)))
    for _ in range(random.randint(1, 3)):
        spot = event
        while isinstance(spot, dict | list) and spot:
            key = random.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
            if isinstance(spot[key], dict | list) and spot[key] and random.random() < 0.6:
                spot = spot[key]
                continue
            _change(random, spot, key)
            break
    return event


def _change(random, spot, key):
    match random.randrange(5):
        case 0:
            spot[key] = json.loads(json.dumps(random.choice(_ODD)))
        case 1:
            del spot[key]
        case 2 if isinstance(spot, dict):
            spot[random.choice(["type", "id", "extra", "voice", "audio", "session"])] = spot[key]
        case 3 if isinstance(spot, list):
            spot.append(spot[key])
        case _:
            other = random.choice(VALID)
            spot[key] = json.loads(json.dumps(random.choice(list(other.values()))))


def mangled(random):
    """The text of an event with pieces of it cut, doubled, or replaced by anything."""
    text = json.dumps(random.choice(VALID))
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.randrange(12))
        piece = random.choice(
            ["", text[start:end] * 2, "\x00", "\ud800", "[" * 80, '"', "}", "9" * 30]
        )
        text = text[:start] + piece + text[end:]
    return text


class Siege:
    """Sessions under fire. `events` counts the client events sent so far."""

    def __init__(self, seed):
        self.events = 0
        self._random = Random(seed)

    def session(self, steps):
        """One session from its beginning to calm; return its driver."""
        random = self._random
        driver = Driver(random.choice([None, {"output_modalities": ["text"]}, {"tools": [TOOL]}]))
        for _ in range(steps):
            self._step(driver, random.random())
        driver.send_text(json.dumps(VALID[2]))
        driver.run(60.0)
        driver.finish()
        return driver

    def _step(self, driver, choice):
        random = self._random
        if choice < 0.86:
            self.events += 1
            if choice < 0.15:
                text = json.dumps(random.choice(VALID))
            elif choice < 0.72:
                text = json.dumps(mutated(random))
            else:
                text = mangled(random)
            answers = driver.send_text(text)
            assert sum(event["type"] == "error" for event in answers) <= 1
        elif choice < 0.90:
            driver.hear(speech(random.uniform(0.05, 0.6)))
        elif choice < 0.94:
            driver.hear(silence(random.uniform(0.05, 0.8)))
        else:
            driver.run(random.uniform(0.0, 4.0))
