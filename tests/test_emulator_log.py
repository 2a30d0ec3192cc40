"""What the emulator's log shows of requests, calls and events, and what it does not."""

from __future__ import annotations

import logging

import pytest
from live import BentEmulator, calling

from rtcvoice.emulator.log import LONGEST_EVENT, CallLog, log_request

NAME = "rtcvoice.emulator.log"
SECRET = "sk-proj-abcdefghijklmnop"


@pytest.fixture
def lines(caplog):
    """Everything of the log, with DEBUG on."""
    caplog.set_level(logging.DEBUG, NAME)
    return lambda: [record.getMessage() for record in caplog.records if record.name == NAME]


async def test_requests_calls_and_events_have_a_line_each(lines):
    async with BentEmulator(audio="instant") as server:
        async with calling(server) as call:
            await (await call.ask("Hello.")).played()
        await server.end_calls()
        call_id = call.id
    told = lines()
    starts = [line.rsplit(" ", 2)[0] for line in told if line.startswith("< POST")]
    assert starts[:2] == ["< POST /v1/realtime/client_secrets 200", "< POST /v1/realtime/calls 201"]
    assert f"= call {call_id} begins: 1 running" in told
    assert any(line.startswith(f"> {call_id} session.created ") for line in told)
    assert any(line.startswith(f"< {call_id} response.create ") for line in told)
    (ended,) = [line for line in told if line.startswith(f"= call {call_id} ended after")]
    counts = len(server.last().from_client()), len(server.last().from_server())
    assert ended.endswith(f"{counts[0]} events in, {counts[1]} out, 1 responses")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "x" * 10_000},
        {"type": "input_audio_buffer.append", "audio": "A" * 10_000_000},
        {"type": "a\x1b[2J\nb\u202e", "text": "\x00" * 1000},
        {"type": "", "text": "no event \ud800"},
        {"type": "deep", "value": [[[[[[[[[[[[[[["end"]]]]]]]]]]]]]]]},
        {"type": ["no", "text"], "lists": ["y" * 100] * 1000},
    ],
    ids=lambda event: str(event)[:30],
)
def test_whatever_comes_is_one_short_printable_line(lines, event):
    CallLog("rtc_1").event("in", event)
    (line,) = lines()
    assert line.isprintable()
    assert len(line) < LONGEST_EVENT + 20


def test_keys_are_not_shown(lines):
    mcp = {"type": "mcp", "authorization": "plain-secret-1", "headers": {"x": "plain-secret-2"}}
    session = {"tools": [mcp], "instructions": f"Use {SECRET}."}
    CallLog("rtc_1").event("in", {"type": "session.update", "session": session})
    log_request("GET", f"/v1/{SECRET}", 404, 0.001)
    assert len(lines()) == 2
    assert "plain-secret" not in str(lines())
    assert SECRET not in str(lines())


def test_what_nobody_reads_is_not_made(caplog):
    caplog.set_level(logging.INFO, NAME)

    class Counted(dict):
        def items(self):
            raise AssertionError("it was looked at")

    log = CallLog("rtc_1")
    log.event("out", Counted(type="response.done"))
    log.ended(1.0)
    assert [record.getMessage() for record in caplog.records] == [
        "= call rtc_1 ended after 1.0 s: 0 events in, 1 out, 1 responses"
    ]
