"""Tokens and money, from the server's events; figures by hand from the table and the API's docs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice import events
from rtcvoice.conversation.accounts.prices import (
    PRICES,
    PRICES_DATE,
    TRANSCRIPTION_PRICES,
    ModelPrice,
    price_of,
)
from rtcvoice.conversation.accounts.usage import TokenCounts, UsageMeter

MODEL = "gpt-realtime-2.1"

# As the service sent it: cached tokens are contained in the input.
CAPTURED = {
    "total_tokens": 821,
    "input_tokens": 789,
    "output_tokens": 32,
    "input_token_details": {
        "text_tokens": 313,
        "audio_tokens": 476,
        "image_tokens": 0,
        "cached_tokens": 640,
        "cached_tokens_details": {"text_tokens": 256, "audio_tokens": 384, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 9, "audio_tokens": 23},
}
COST = (57 * 4.00 + 92 * 32.00 + 640 * 0.40 + 9 * 24.00 + 23 * 64.00) / 1e6


def decoded(event: dict[str, Any]) -> Any:
    known = events.decode(json.dumps({"event_id": "e", **event}))
    assert not isinstance(known, events.UnknownEvent), known
    return known


def done(usage: dict[str, Any] | None, *, status: str = "completed", id: str = "resp_1") -> Any:  # noqa: A002
    response = {"id": id, "status": status, "output": [], "usage": usage}
    return decoded({"type": "response.done", "response": response})


def session(model: str, transcription: str | None = None) -> Any:
    audio = {"input": {"transcription": {"model": transcription} if transcription else None}}
    made = {"type": "realtime", "model": model, "audio": audio}
    return decoded({"type": "session.created", "session": made})


def transcribed(usage: dict[str, Any] | None) -> Any:
    kind = "conversation.item.input_audio_transcription.completed"
    fields = {"item_id": "item_1", "content_index": 0, "transcript": "Hi.", "usage": usage}
    return decoded({"type": kind, **fields})


def meter(*fed: Any, model: str = MODEL, price: ModelPrice | None = None) -> UsageMeter:
    made = UsageMeter(model, price=price)
    for event in fed:
        made.feed(event)
    return made


def test_a_response_is_counted_by_kind_and_cached_tokens_only_once() -> None:
    usage = meter(done(CAPTURED)).snapshot()
    tokens = usage.tokens
    assert (tokens.input, tokens.cached, tokens.output, tokens.total) == (789, 640, 32, 821)
    assert (tokens.input_text, tokens.cached_text) == (313, 256)
    assert (tokens.input_audio, tokens.cached_audio) == (476, 384)
    assert (tokens.output_text, tokens.output_audio) == (9, 23)
    assert usage.cost == pytest.approx(COST)
    assert usage.known_cost == usage.cost


def test_responses_add_up_whatever_became_of_them() -> None:
    stopped = done(CAPTURED, status="cancelled", id="resp_2")
    failed = done(None, status="failed", id="resp_3")
    usage = meter(done(CAPTURED), stopped, failed).snapshot()
    assert [(r.response_id, r.status, r.tokens.total) for r in usage.responses] == [
        ("resp_1", "completed", 821),
        ("resp_2", "cancelled", 821),
        ("resp_3", "failed", 0),
    ]
    assert usage.responses[2].cost == 0
    assert usage.tokens.total == 1642
    assert usage.cost == pytest.approx(2 * COST)


def test_a_minute_of_speech_costs_what_the_guide_says() -> None:
    """600 tokens in and 1200 out: about 1.9 and 7.7 cents at the price of 2.1."""
    heard = TokenCounts(input_audio=600).cost(price_of(MODEL))
    spoken = TokenCounts(output_audio=1200).cost(price_of(MODEL))
    assert heard == pytest.approx(0.0192)
    assert spoken == pytest.approx(0.0768)


def test_an_unknown_model_costs_an_unknown_amount() -> None:
    usage = meter(done(CAPTURED), model="my-deployment").snapshot()
    assert usage.cost is None
    assert usage.known_cost == 0
    assert usage.tokens.total == 821
    own = ModelPrice(text_input=1, text_cached=1, text_output=1, audio_input=1, audio_cached=1)
    assert meter(done(CAPTURED), model="my-deployment", price=own).snapshot().cost is None
    full = ModelPrice(**dict.fromkeys(own.__dataclass_fields__, 1.0))
    priced = meter(done(CAPTURED), model="my-deployment", price=full).snapshot()
    assert priced.cost == pytest.approx(821e-6)


def test_the_model_is_the_one_the_server_names_and_snapshots_cost_the_same() -> None:
    usage = meter(session("gpt-realtime-2.1-mini-2026-07-01"), done(CAPTURED)).snapshot()
    assert usage.model == "gpt-realtime-2.1-mini-2026-07-01"
    assert usage.cost is not None
    assert usage.cost < COST / 2


@pytest.mark.parametrize(
    "usage",
    [
        {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10},
        {
            "input_tokens": 20,
            "input_token_details": {"text_tokens": 20, "cached_tokens": 5},
            "output_tokens": 0,
        },
    ],
)
def test_tokens_of_untold_kind_are_counted_but_not_priced(usage: dict[str, Any]) -> None:
    snapshot = meter(done(usage)).snapshot()
    assert snapshot.tokens.input == 20
    assert snapshot.cost is None


def test_transcription_is_billed_apart_by_seconds_or_by_tokens() -> None:
    by_seconds = transcribed({"type": "duration", "seconds": 30.0})
    by_tokens = transcribed(
        {
            "type": "tokens",
            "total_tokens": 310,
            "input_tokens": 300,
            "output_tokens": 10,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 300},
        }
    )
    made = meter(session(MODEL, "gpt-transcribe"), by_seconds, by_tokens, done(CAPTURED))
    usage = made.snapshot()
    assert usage.transcription.turns == 2
    assert usage.transcription.seconds == pytest.approx(60)
    assert usage.transcription.tokens == 310
    assert usage.transcription.cost == pytest.approx(TRANSCRIPTION_PRICES["gpt-transcribe"])
    assert usage.tokens.total == 821  # not mixed up with the model's
    assert usage.cost == pytest.approx(COST + TRANSCRIPTION_PRICES["gpt-transcribe"])


@pytest.mark.parametrize("model", ["my-whisper", None])
def test_transcription_of_unknown_price_makes_the_total_unknown(model: str | None) -> None:
    made = meter(session(MODEL, model), transcribed({"type": "duration", "seconds": 30.0}))
    made.feed(done(CAPTURED))
    usage = made.snapshot()
    assert usage.transcription.cost is None
    assert usage.cost is None
    assert usage.known_cost == pytest.approx(COST)


def test_a_line_for_people() -> None:
    assert str(meter(done(CAPTURED)).snapshot()) == (
        f"1 response, 789 tokens in (640 cached), 32 out; US$ {COST:.4f} at the prices of"
        f" {PRICES_DATE}"
    )
    unknown = str(meter(*[done(CAPTURED)] * 2, model="my-deployment").snapshot())
    assert unknown.startswith("2 responses, 1,578 tokens in")
    assert unknown.endswith("the price of my-deployment is not known")
    partly = meter(session(MODEL, "mine"), transcribed({"seconds": 3.0}), done(CAPTURED))
    assert f"more than US$ {COST:.4f}, some prices are unknown" in str(partly.snapshot())


def test_the_table_is_dated_complete_and_plausible() -> None:
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", PRICES_DATE)
    by_minute = {"active_minute", "standby_minute"}
    prices = dict(PRICES)
    assert prices.pop("gpt-realtime-translate") == ModelPrice(active_minute=0.034)
    for name, price in prices.items():
        by_time = name.startswith("gpt-live")
        fields = price.__dataclass_fields__.keys()
        unused = fields - by_minute if by_time else by_minute
        assert all(getattr(price, field) is None for field in unused), name
        values = [getattr(price, field) for field in fields - unused]
        assert all(value is not None and 0 < value < 1000 for value in values), name
        if by_time:
            assert price.standby_minute < price.active_minute  # type: ignore[operator]
            continue
        assert price.text_cached < price.text_input < price.text_output  # type: ignore[operator]
        assert price.audio_cached < price.audio_input < price.audio_output  # type: ignore[operator]
    assert price_of("gpt-realtime-2.1-2026-07-01") is PRICES["gpt-realtime-2.1"]
    assert price_of("gpt-realtime-2.10") is None
    assert price_of(None) is None


COUNTS = st.integers(0, 10**6) | st.none()


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {"input_tokens": COUNTS, "output_tokens": COUNTS},
        optional={
            "input_token_details": st.fixed_dictionaries(
                {},
                optional={
                    "text_tokens": COUNTS,
                    "audio_tokens": COUNTS,
                    "image_tokens": COUNTS,
                    "cached_tokens": COUNTS,
                },
            ),
            "output_token_details": st.fixed_dictionaries(
                {}, optional={"text_tokens": COUNTS, "audio_tokens": COUNTS}
            ),
        },
    )
)
def test_whatever_the_server_leaves_out_nothing_is_counted_that_it_did_not_say(
    usage: dict[str, Any],
) -> None:
    snapshot = meter(done(usage)).snapshot()
    tokens = snapshot.tokens
    assert tokens.input >= (usage["input_tokens"] or 0)
    assert tokens.output >= (usage["output_tokens"] or 0)
    assert snapshot.cost is None or snapshot.cost >= 0


def without(*left_out: str) -> dict[str, Any]:
    """The captured usage without some of its fields; `a/b` is field b of a."""
    usage: dict[str, Any] = json.loads(json.dumps(CAPTURED))
    for path in left_out:
        *outer, name = path.split("/")
        place = usage
        for each in outer:
            place = place[each]
        del place[name]
    return usage


@pytest.mark.parametrize(
    "left_out",
    [
        ["input_token_details"],
        ["output_token_details"],
        ["input_token_details/cached_tokens_details"],
        ["input_token_details/audio_tokens"],
        ["input_token_details", "output_token_details"],
        ["input_token_details", "output_token_details", "input_tokens", "output_tokens"],
        ["input_tokens", "output_tokens"],
    ],
)
def test_a_limit_counts_what_cannot_be_classified_at_the_dearest_price(left_out: list[str]) -> None:
    made = meter(done(without(*left_out)))
    snapshot = made.snapshot()
    assert snapshot.tokens.total == 821
    assert made.most_cost >= COST - 1e-9
    assert made.most_cost <= 821 * 64.00 / 1e6
    assert made.known_cost <= COST + 1e-9
    if left_out != ["input_tokens", "output_tokens"]:  # all is told in the details
        assert snapshot.cost is None


def test_the_exact_cost_is_both_the_least_and_the_most() -> None:
    made = meter(done(CAPTURED))
    assert made.known_cost == made.most_cost == pytest.approx(COST)


@pytest.mark.parametrize("usage", [None, {}, {"input_token_details": {}}])
def test_a_response_without_its_usage_costs_an_unknown_amount(usage: dict[str, Any] | None) -> None:
    made = meter(done(CAPTURED), done(usage, id="resp_2"))
    snapshot = made.snapshot()
    assert [each.cost for each in snapshot.responses] == [pytest.approx(COST), None]
    assert snapshot.cost is None
    assert made.untold == 1
    assert "the server did not tell all that was used" in str(snapshot)
    assert meter(done({"input_tokens": 0, "output_tokens": 0})).snapshot().cost == 0


def test_a_price_that_is_known_in_part_bounds_the_rest() -> None:
    made = meter(done(CAPTURED), price=ModelPrice(text_input=4.0, audio_output=64.0))
    assert made.snapshot().cost is None
    # Audio in, and all cached, at the only price of input; written output at the only one of it.
    assert made.most_cost == pytest.approx((789 * 4.0 + 32 * 64.0) / 1e6)
    assert made.known_cost == pytest.approx((57 * 4.0 + 23 * 64.0) / 1e6)


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        (None, 2.0),
        ({"type": "tokens", "total_tokens": 50}, 2.0),
        ({"type": "duration", "seconds": 3.0}, 3.0),
    ],
)
def test_a_limit_counts_transcription_of_unknown_price_as_the_dearest(
    usage: dict[str, Any] | None, seconds: float
) -> None:
    started = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 500}
    stopped = {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2500}
    made = meter(session(MODEL, "mine"))
    made.feed(decoded({**started, "item_id": "item_1"}))
    made.feed(decoded({**stopped, "item_id": "item_1"}))
    made.feed(transcribed(usage))
    assert made.snapshot().cost is None
    assert made.most_cost == pytest.approx(max(TRANSCRIPTION_PRICES.values()) * seconds / 60)


def test_the_api_s_own_transcription_models_have_prices() -> None:
    for model in ("whisper-1", "gpt-4o-transcribe-2025-12-15", "gpt-4o-mini-transcribe"):
        made = meter(session(MODEL, model), transcribed({"type": "duration", "seconds": 60.0}))
        assert made.snapshot().cost == TRANSCRIPTION_PRICES[model.removesuffix("-2025-12-15")]
