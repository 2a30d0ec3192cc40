"""Limits on a call: warned of once, reached once, and what they compare with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_road import FakeOutput
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import run

import rtcvoice.events as ev
from rtcvoice.conversation.accounts.accounts import Accounts
from rtcvoice.conversation.accounts.limits import Limits, LimitWatch, live_limits
from rtcvoice.conversation.accounts.prices import PRICES
from rtcvoice.errors import ConfigError
from rtcvoice.events import LimitNear, LimitReached


def names(found: list[Any]) -> list[tuple[str, str]]:
    return [(event.type.removeprefix("rtcvoice.limit_"), event.limit) for event in found]


def test_each_limit_warns_once_and_the_first_reached_is_the_end() -> None:
    watch = LimitWatch(Limits(cost=1.0, seconds=100, tokens=1000))
    watch.begin(10.0)
    assert watch.check(20.0, cost=0.5, tokens=500) == []
    near = watch.check(21.0, cost=0.8, tokens=799)
    assert near == [LimitNear(limit="cost", used=0.8, maximum=1.0)]
    assert near[0].share == pytest.approx(0.8)  # type: ignore[union-attr]
    assert names(watch.check(91.0, cost=0.81, tokens=900)) == [
        ("near", "seconds"),
        ("near", "tokens"),
    ]
    assert watch.check(92.0, cost=0.9, tokens=999) == []
    reached = watch.check(93.0, cost=1.2, tokens=1000)
    assert names(reached) == [("reached", "cost")]
    assert str(reached[0]) == "the limit of 1 US$ was reached"
    assert watch.check(200.0, cost=9, tokens=9999) == []
    many = LimitReached(limit="tokens", used=2_000_001, maximum=2_000_000)
    assert str(many) == "the limit of 2000000 tokens was reached"
    assert watch.next_check() is None


def test_time_is_watched_without_events() -> None:
    watch = LimitWatch(Limits(seconds=100, warn_at=0.5))
    assert watch.next_check() is None
    watch.begin(1000.0)
    assert watch.next_check() == 1050.0
    assert names(watch.check(1050.0, cost=0, tokens=0)) == [("near", "seconds")]
    assert watch.next_check() == 1100.0
    assert names(watch.check(1100.0, cost=0, tokens=0)) == [("reached", "seconds")]
    assert LimitWatch(Limits(cost=1)).next_check() is None


def test_silence_is_warned_of_each_time_and_then_ends_the_call() -> None:
    watch = LimitWatch(live_limits(None))
    watch.begin(0.0)
    assert watch.check(10.0, cost=0, tokens=0) == []
    assert watch.next_check() is None
    assert watch.check(20.0, cost=0, tokens=0, idle_since=10.0) == []
    assert watch.next_check() == 10.0 + 240
    assert names(watch.check(250.0, cost=0, tokens=0, idle_since=10.0)) == [("near", "idle")]
    assert watch.next_check() == 310.0
    # Somebody spoke in between, which nobody asked about.
    assert watch.check(310.0, cost=0, tokens=0, idle_since=300.0) == []
    assert names(watch.check(540.0, cost=0, tokens=0, idle_since=300.0)) == [("near", "idle")]
    reached = watch.check(600.0, cost=0, tokens=0, idle_since=300.0)
    assert names(reached) == [("reached", "idle")]
    assert str(reached[0]) == "the limit of 300 s of silence was reached"


def test_silence_ends_a_call_by_itself_only_where_it_costs() -> None:
    assert LimitWatch(Limits()).check(1e6, cost=0, tokens=0, idle_since=0.0) == []
    assert live_limits(Limits(idle=None)) == Limits(idle=None)
    assert live_limits(Limits(idle=5, cost=1)) == Limits(idle=5, cost=1)
    assert live_limits(Limits(cost=1)) == Limits(idle=300.0, cost=1)


@pytest.mark.parametrize(
    "options",
    [
        {"cost": 0},
        {"idle": 0},
        {"idle": "long"},
        {"seconds": -1},
        {"tokens": "5"},
        {"cost": float("nan")},
        {"warn_at": 1.5},
    ],
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Limits(**options)
    assert next(iter(options)) in str(caught.value)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 0.5), st.integers(0, 400)), max_size=30),
    st.floats(0, 1),
)
def test_nothing_is_told_twice_and_nothing_after_the_end(
    steps: list[tuple[float, float, int]], warn_at: float
) -> None:
    watch = LimitWatch(Limits(cost=2, seconds=200, tokens=2000, warn_at=warn_at))
    watch.begin(0.0)
    now = cost = tokens = 0.0
    told: list[Any] = []
    for later, dearer, more in steps:
        now, cost, tokens = now + later, cost + dearer, tokens + more
        told += watch.check(now, cost=cost, tokens=int(tokens))
    near = [event.limit for event in told if isinstance(event, LimitNear)]
    assert len(near) == len(set(near))
    ends = [event for event in told if isinstance(event, LimitReached)]
    assert len(ends) == (cost >= 2 or now >= 200 or tokens >= 2000)
    assert not ends or told[-1] is ends[0]


class Fixture:
    """Accounts beside a call that hangs up when it is told to."""

    def __init__(self, model: str = "gpt-realtime-2.1", **options: Any) -> None:
        self.told: list[Any] = []
        self.reached: list[LimitReached] = []
        self.accounts = Accounts(
            FakeOutput(),
            publish=self.told.append,
            reached=self.reached.append,
            model=model,
            **options,
        )


def response(tokens: int) -> ev.ResponseDone:
    details = ev.OutputTokenDetails(audio_tokens=tokens)
    usage = ev.Usage(output_tokens=tokens, output_token_details=details)
    return ev.ResponseDone(response=ev.RealtimeResponse(id="r", status="completed", usage=usage))


def test_the_accounts_watch_time_by_themselves() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fixture = Fixture(limits=Limits(seconds=60), clock=loop.time)
        fixture.accounts.begin()
        await asyncio.sleep(47.9)
        assert fixture.told == []
        await asyncio.sleep(0.2)
        assert names(fixture.told) == [("near", "seconds")]
        await asyncio.sleep(11.7)
        assert fixture.reached == []
        await asyncio.sleep(0.3)
        assert names(fixture.told) == [("near", "seconds"), ("reached", "seconds")]
        assert fixture.reached == fixture.told[1:]
        await fixture.accounts.aclose()

    run(main())


def test_the_accounts_look_for_silence_by_themselves() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        idle = False
        fixture = Fixture(limits=Limits(idle=20), is_idle=lambda: idle, clock=loop.time)
        fixture.accounts.begin()
        await asyncio.sleep(100)
        idle = True
        await asyncio.sleep(19)
        assert names(fixture.told) == [("near", "idle")]
        idle = False
        await asyncio.sleep(5)
        idle = True
        await asyncio.sleep(19)
        assert names(fixture.told) == [("near", "idle")] * 2
        assert fixture.reached == []
        await asyncio.sleep(4)
        assert names(list(fixture.reached)) == [("reached", "idle")]
        await fixture.accounts.aclose()

    run(main())


def test_tokens_and_cost_are_checked_when_a_response_is_over() -> None:
    async def main() -> None:
        fixture = Fixture(limits=Limits(tokens=1000, cost=1.0))
        fixture.accounts.begin()
        for _ in range(3):
            fixture.accounts.feed(response(400))
            fixture.accounts.check()
        assert names(fixture.told) == [("near", "tokens"), ("reached", "tokens")]
        await fixture.accounts.aclose()

    run(main())


def test_a_limit_on_the_cost_of_an_unknown_model_is_refused_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Fixture(model="my-deployment", limits=Limits(cost=1))
    assert "'my-deployment'" in caught.value.message
    assert "price=" in caught.value.hint
    price = PRICES["gpt-realtime-2.1"]
    Fixture(model="my-deployment", limits=Limits(cost=1), price=price)
    Fixture(model="my-deployment", limits=Limits(tokens=1))


@pytest.mark.parametrize("options", [{"limits": 1.0}, {"price": 1.0}])
def test_options_of_the_wrong_kind_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Fixture(**options)
    assert f"{next(iter(options))}= is a float" in caught.value.message


@pytest.mark.parametrize("limits", [Limits(cost=0.05), Limits(tokens=3000)])
def test_limits_see_responses_of_which_no_usage_is_told(
    limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        fixture = Fixture(limits=limits)
        fixture.accounts.begin()
        where = {"response_id": "r", "item_id": "a", "output_index": 0, "content_index": 0}
        silent = ev.ResponseDone(response=ev.RealtimeResponse(id="r", status="completed"))
        for _ in range(10):  # 100 characters each time, and all before it again
            words = ev.ResponseOutputAudioTranscriptDelta(delta="word " * 20, **where)
            fixture.accounts.feed(words)
            fixture.accounts.feed(silent)
            fixture.accounts.check()
        assert len(fixture.reached) == 1
        assert fixture.accounts.usage.cost is None
        assert caplog.text.count("count an estimate") == 1
        await fixture.accounts.aclose()

    run(main())


def test_a_nudge_does_not_end_the_silence_that_it_speaks_of() -> None:
    watch = LimitWatch(Limits(idle=100, nudge="Are you there?"))
    watch.begin(0.0)
    (near,) = watch.check(90.0, cost=0, tokens=0, idle_since=10.0)
    assert near.nudge == "Are you there?"  # type: ignore[union-attr]
    assert watch.check(95.0, cost=0, tokens=0, idle_since=None) == []  # it is being said
    assert watch.check(100.0, cost=0, tokens=0, idle_since=97.0) == []
    assert names(watch.check(110.0, cost=0, tokens=0, idle_since=97.0)) == [("reached", "idle")]


def test_a_user_who_answers_a_nudge_has_all_the_time_again() -> None:
    watch = LimitWatch(Limits(idle=100, nudge="Are you there?"))
    watch.begin(0.0)
    assert len(watch.check(90.0, cost=0, tokens=0, idle_since=10.0)) == 1
    assert watch.check(99.0, cost=0, tokens=0, idle_since=None, user_at=98.0) == []
    assert watch.check(115.0, cost=0, tokens=0, idle_since=105.0, user_at=98.0) == []
    assert watch.next_check() == 185.0
    (near,) = watch.check(185.0, cost=0, tokens=0, idle_since=105.0, user_at=98.0)
    assert near.nudge  # type: ignore[union-attr]
    for wrong in ({"nudge": 5, "idle": 5}, {"nudge": "a", "idle": None}):
        with pytest.raises(ConfigError, match="nudge"):
            Limits(**wrong)  # type: ignore[arg-type]
