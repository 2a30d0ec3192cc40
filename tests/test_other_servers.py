"""The switches by which the emulator does as servers of other makers do."""

from __future__ import annotations

import aiohttp
import pytest
from emulator_driver import Driver
from live import KEY
from rest_helpers import CALLS, OFFER, SDP, SECRETS, bearer, form

from rtcvoice.emulator import AnswerFault, Emulator, Faults
from rtcvoice.emulator.answer import spoil_answer
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.noise import Noise
from rtcvoice.emulator.session.other_servers import as_others_send
from rtcvoice.emulator.session.outputs import SendBytes
from rtcvoice.errors import ConfigError

EVENT = {"type": "response.done", "event_id": "event_1", "response": {"id": "resp_1"}}
ITEM = {"id": "item_1", "type": "function_call", "name": "pay"}


def sent(event, **faults):
    return as_others_send(event, SessionFaults(**faults))


def test_without_a_switch_an_event_is_sent_as_it_is():
    assert sent(EVENT) == [EVENT]
    assert Noise(SessionFaults(), None).silent


def test_events_are_left_out_by_type_or_pattern():
    assert sent(EVENT, leave_out=["response.done"]) == []
    assert sent(EVENT, leave_out="response.*") == []
    assert sent(EVENT, leave_out=["output_audio_buffer.*", "rate_limits.updated"]) == [EVENT]
    with pytest.raises(ConfigError, match=r"conversation\.item\.addded") as caught:
        SessionFaults(leave_out=["conversation.item.addded"])
    assert "did you mean 'conversation.item.added'?" in caught.value.hint


def test_items_come_under_the_older_name():
    added = {"type": "conversation.item.added", "event_id": "event_1", "item": ITEM}
    created = [{**added, "type": "conversation.item.created"}]
    assert sent(added, item_created=True) == created
    assert sent({**added, "type": "conversation.item.done"}, item_created=True) == []


def test_numbers_are_floats_or_text_but_what_the_client_gave_stays():
    event = {**EVENT, "n": 3, "is": True, "x": 0.5, "list": [1], "metadata": {"a": 1}, "code": "x"}
    (floats,) = sent(event, float_numbers=True)
    assert (repr(floats["n"]), floats["is"], repr(floats["list"])) == ("3.0", True, "[1.0]")
    assert repr(floats["metadata"]) == "{'a': 1}"
    (odd,) = sent(event, odd_values=True)
    assert (odd["n"], odd["is"], odd["x"], odd["list"], odd["code"]) == (
        "3",
        True,
        "0.5",
        ["1"],
        400,
    )
    assert odd["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    "kind",
    [
        "response.output_item.done",
        "conversation.item.done",
        "response.function_call_arguments.done",
    ],
)
def test_a_call_is_delivered_twice_with_another_event_id(kind):
    event = {**EVENT, "type": kind, "item": ITEM}
    first, second = sent(event, calls_twice=True)
    assert first == event
    assert {**second, "event_id": "event_1"} == event
    assert second["event_id"] != "event_1"
    assert sent(EVENT, calls_twice=True) == [EVENT]


def test_text_that_is_no_utf8_comes_between_the_events():
    driver = Driver(faults=SessionFaults(not_utf8=True))
    for _ in range(9):
        driver.session.receive_text('{"type": "nonsense"}', driver.now)
    odd = [each for each in driver.session.drain() if isinstance(each, SendBytes)]
    assert len(odd) >= 3
    for each in odd:
        with pytest.raises(UnicodeDecodeError):
            each.data.decode()


async def test_what_other_servers_lack_is_refused_in_their_way():
    faults = Faults(no_client_secrets=True, raw_sdp_only=True)
    async with Emulator(faults=faults) as server, aiohttp.ClientSession() as http:
        root = server.url.removesuffix("/v1")
        minted = await http.post(root + SECRETS, json={}, headers=bearer(KEY))
        assert (minted.status, await minted.text()) == (404, "404 page not found\n")
        body, kind = form(sdp=OFFER)
        offered = await http.post(root + CALLS, data=body, headers=kind | bearer(KEY))
        assert offered.status == 415
        assert "error" not in await offered.json()
        raw = await http.post(root + CALLS, data=OFFER, headers=SDP | bearer(KEY))
        assert raw.status == 400  # taken, and looked at: these three lines are no whole offer


def test_an_answer_may_name_tcp_alone():
    answer = "v=0\r\nm=audio 9 x 111\r\na=candidate:1 1 udp 5 127.0.0.1 4000 typ host\r\n"
    spoilt = spoil_answer(answer, AnswerFault.TCP_ONLY)
    assert " udp " not in spoilt
    assert "127.0.0.1 443 typ host tcptype passive\r\n" in spoilt
