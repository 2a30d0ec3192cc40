"""When a call tries again, and when it gives up; all in given times."""

from __future__ import annotations

from typing import Any

import pytest

from rtcvoice.call.reconnect import Attempts, Reconnect
from rtcvoice.errors import ConfigError, CredentialsError, SignalingError, TransportError

SILENCE = TransportError("nothing was heard", stage="connected")


def refused(status: int, **more: Any) -> SignalingError:
    return SignalingError("refused", status=status, **more)


def attempts(**options: Any) -> Attempts:
    made = Attempts(Reconnect(**options), chance=lambda: 1.0)
    made.lost(100.0, lived=60.0, error=SILENCE)
    return made


def test_the_first_attempt_is_due_at_once() -> None:
    assert attempts().due(100.0) == 100.0


def test_while_nobody_answers_one_begins_each_second() -> None:
    made = attempts()
    made.failed(SILENCE, 100.2, begun=100.0)
    assert made.due(100.2) == 101.0
    made.failed(SILENCE, 104.0, begun=101.0)
    assert made.due(104.0) == 104.0


def test_who_refuses_is_asked_later_and_later_up_to_20_s() -> None:
    made, now, waits = attempts(window=1000), 100.0, []
    for _ in range(7):
        made.failed(refused(503), now, begun=now)
        due = made.due(now)
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [1, 2, 4, 8, 16, 20, 20]


def test_jitter_halves_the_wait_at_most() -> None:
    made = Attempts(Reconnect(), chance=lambda: 0.0)
    made.lost(0.0, lived=60.0, error=SILENCE)
    made.failed(refused(500), 0.0, begun=0.0)
    assert made.due(0.0) == 0.5


def test_retry_after_is_honoured_within_reason() -> None:
    made = attempts(window=1000)
    made.failed(refused(429, retry_after=7.0), 100.0, begun=100.0)
    assert made.due(100.0) == 107.0
    made.failed(refused(429, retry_after=1e9), 107.0, begun=107.0)
    assert made.due(107.0) == 227.0


@pytest.mark.parametrize(
    "error",
    [
        refused(401),
        refused(400),
        refused(429, code="insufficient_quota"),
        refused(403, code="account_deactivated"),
        CredentialsError("no key"),
        ConfigError("bad"),
    ],
)
def test_what_stays_refused_ends_at_once_with_its_own_error(error: Any) -> None:
    made = attempts()
    made.failed(error, 100.1, begun=100.0)
    assert made.due(100.1) is None
    assert made.error is error


@pytest.mark.parametrize("status", [404, 408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    made = attempts()
    made.failed(refused(status), 100.0, begun=100.0)
    assert made.due(100.0) == 101.0


def test_the_window_ends_it() -> None:
    made = attempts(window=5)
    made.failed(SILENCE, 104.9, begun=104.0)
    assert made.due(104.9) is None
    assert made.error is SILENCE


def test_a_leg_that_died_young_counts_as_a_failure_of_the_same_window() -> None:
    made = attempts(window=20)
    made.up()
    made.lost(105.0, lived=3.0, error=SILENCE)
    assert made.due(105.0) == 106.0  # not at once
    made.up()
    made.lost(115.0, lived=9.0, error=SILENCE)
    assert made.due(115.0) == 117.0
    made.up()
    made.lost(121.0, lived=2.0, error=SILENCE)
    assert made.due(121.0) is None


def test_a_leg_that_lived_begins_a_new_window() -> None:
    made = attempts(window=20)
    made.up()
    made.lost(400.0, lived=290.0, error=SILENCE)
    assert made.due(400.0) == 400.0


def test_legs_are_numbered_and_bounded() -> None:
    made = attempts(max_legs=2)
    assert made.begin() == 1
    made.up()
    made.lost(500.0, lived=400.0, error=SILENCE)
    assert made.due(500.0) is None
    assert "nothing was heard" in str(made.error)
    assert "max_legs" in str(made.error)
    assert made.error is not None
    assert made.error.__cause__ is SILENCE


def test_what_failed_for_good_while_the_leg_was_up_is_tried_once_more_when_it_is_lost() -> None:
    made = attempts()
    made.failed(CredentialsError("the token has expired"), 100.1, begun=100.0)
    made.lost(200.0, lived=160.0, error=SILENCE)
    assert made.due(200.0) == 200.0


def test_the_window_may_end_during_an_attempt() -> None:
    made = attempts(window=5)
    assert made.left(104.0) == 1.0
    made.window_over()
    assert made.due(104.0) is None
    assert made.error is SILENCE


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"window": float("nan")},
        {"window": "120"},
        {"window": True},
        {"max_legs": 0},
        {"max_legs": 2.5},
        {"renew_after": 1},
        {"max_replay_items": -1},
        {"on_server_close": "yes"},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Reconnect(**options)
