"""What may be asked of decisions, by whom: questions, triggers, items of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice.emulator.session.schema import (
    Check,
    anything,
    array,
    invalid,
    nullable,
    one_of,
    record,
    string,
    tagged,
)

__all__ = ["DECISION_ITEM", "QUESTIONS", "TRIGGERS", "needs"]

_text = string()
_type: dict[str, Check] = {"type": anything}


def needs(check: Check, test: Callable[[Any], str]) -> Check:
    """Accept what `check` accepts, if `test` finds nothing against it."""

    def checked(value: Any, path: str) -> None:
        check(value, path)
        if problem := test(value):
            raise invalid(path, problem)

    return checked


_image = record(
    {
        **_type,
        "image_url": _text,
        "detail": nullable(one_of("low", "high", "auto", "original")),
    },
    required=("image_url",),
)
_part = tagged(
    "type",
    {
        "input_text": record({**_type, "text": _text}, required=("text",)),
        "input_image": _image,
        "input_json": record({**_type, "data": anything}, required=("data",)),
    },
)


def _text_or_parts(value: Any, path: str) -> None:
    (array(_part) if isinstance(value, list) else _text)(value, path)


def _choice_value(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        _text(value, path)


_option = record({"value": _choice_value, "description": _text}, required=("value",))
_level = record({"label": _text, "description": _text}, required=("label",))
_asked: dict[str, Check] = {**_type, "instructions": _text_or_parts, "name": _text}
_question = tagged(
    "type",
    {
        "choice": record(
            {**_asked, "choices": needs(array(_option), lambda v: "" if v else "No choices.")},
            required=("choices", "instructions"),
        ),
        "predicate": record(_asked, required=("instructions",)),
        "score": record(
            {**_asked, "levels": needs(array(_level), lambda v: "" if v else "No levels.")},
            required=("levels", "instructions"),
        ),
    },
)
QUESTIONS = needs(
    array(_question, longest=400), lambda asked: "" if asked else "At least one question is needed."
)

_DELTAS = ("session.input_transcript.delta", "session.output_transcript.delta")
_trigger = record(
    {
        "type": one_of("decisions"),
        "event_type": one_of(*_DELTAS),
        "decisions": record({"questions": QUESTIONS}, required=("questions",)),
    },
    required=("type", "event_type", "decisions"),
)


def _distinct(triggers: list[dict[str, Any]]) -> str:
    kinds = [trigger["event_type"] for trigger in triggers]
    return "" if len(set(kinds)) == len(kinds) else "At most one trigger per event_type is allowed."


TRIGGERS = needs(array(_trigger, longest=400), _distinct)

_decision_message = record(
    {
        "type": one_of("message"),
        "id": nullable(_text),
        "role": one_of("user", "developer", "system", "assistant"),
        "content": _text_or_parts,
    },
    required=("role", "content"),
)
_item_status = nullable(one_of("in_progress", "completed", "incomplete"))
_call: dict[str, Check] = {
    **_type,
    "id": nullable(_text),
    "call_id": _text,
    "status": _item_status,
}
_named_call: dict[str, Check] = {**_call, "name": _text, "namespace": nullable(_text)}
_item = tagged(
    "type",
    {
        "function_call": record(
            {**_named_call, "arguments": _text}, required=("call_id", "name", "arguments")
        ),
        "custom_tool_call": record(
            {**_named_call, "input": _text}, required=("call_id", "name", "input")
        ),
        "function_call_output": record(
            {**_call, "output": _text_or_parts}, required=("call_id", "output")
        ),
        "custom_tool_call_output": record(
            {**_call, "output": _text_or_parts}, required=("call_id", "output")
        ),
        "message": _decision_message,
    },
)


def DECISION_ITEM(value: Any, path: str) -> None:  # noqa: N802  (a check, as the others)
    """Accept an input item for decisions; a message need not say that it is one."""
    is_message = isinstance(value, dict) and "type" not in value
    (_decision_message if is_message else _item)(value, path)
