"""A history as the messages that a session of GPT-Live begins with; pure.

Only text goes in, of the newest messages: at most 128, and 8,192 tokens as the service counts them.
What the system said becomes the developer's; function calls and images are left out, and said to
be. Of an interrupted answer goes in what was heard.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.state import history as histories

from .appends import estimated_tokens

__all__ = ["messages_of", "messages_of_history", "said_in"]

logger = logging.getLogger(__name__)

MOST_MESSAGES = 128
MOST_TOKENS = 7500
"""By our estimate, with `PER_MESSAGE` for each; the service allows 8,192."""

PER_MESSAGE = 8
"""Tokens that a message takes beside its text."""

LONGEST = 4000
"""Tokens of one message; a longer one is cut at its front, for the newest words matter."""

_ROLES = {"user": "user", "assistant": "assistant", "system": "developer"}


def messages_of_history(
    history: Iterable[Mapping[str, Any]],
    *,
    most_messages: int = MOST_MESSAGES,
    most_tokens: int = MOST_TOKENS,
) -> tuple[list[dict[str, Any]], int]:
    """Return the messages for `call.history`, and how many of its entries are left out.

    At most so many of the newest, and so many tokens of them, as far as the service takes them.
    """
    entries = list(history)
    seeds = histories.seed(entries, new_id)
    most_tokens = min(most_tokens, MOST_TOKENS)
    messages, _ = _newest([seed.item for seed in seeds], most_messages, most_tokens)
    return messages, len(entries) - len(messages)


def messages_of(seeds: Iterable[events.ConversationItemCreate]) -> list[dict[str, Any]]:
    """Return the messages for a history that was read; says what is left out."""
    items = [seed.item for seed in seeds]
    messages, left_out = _newest(items, MOST_MESSAGES)
    if left_out:
        logger.warning(
            "x of the history %d of %d entries do not go in: a session of GPT-Live takes text"
            " alone, the newest %d messages or about %d tokens of it",
            *(left_out, len(items), MOST_MESSAGES, MOST_TOKENS),
        )
    return messages


def said_in(messages: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Return who said what in messages that a session begins with."""
    for message in messages:
        role = message.get("role")
        content = message.get("content")
        part = content[0] if isinstance(content, list) and content else {}
        if isinstance(part, Mapping) and isinstance(text := part.get("text"), str):
            yield "system" if role == "developer" else str(role), text


def _newest(
    items: list[events.Item], most_messages: int, most_tokens: int = MOST_TOKENS
) -> tuple[list[dict[str, Any]], int]:
    found: list[dict[str, Any]] = []
    tokens, images = 0, False
    for item in reversed(items):
        message, had_image = _message(item)
        images = images or had_image
        if message is None:
            continue
        cost = estimated_tokens(message["content"][0]["text"]) + PER_MESSAGE
        if len(found) >= most_messages or tokens + cost > most_tokens:
            break
        tokens += cost
        found.append(message)
    if images:
        logger.warning("x images of the history do not go in: only a backend model sees them")
    return found[::-1], len(items) - len(found)


def _message(item: events.Item) -> tuple[dict[str, Any] | None, bool]:
    if not isinstance(item, events.Message) or item.role not in _ROLES:
        return None, False
    texts = [part.text for part in item.content if part.text]
    had_image = any(part.type == "input_image" for part in item.content)
    if not texts:
        return None, had_image
    text = "\n".join(texts)
    while estimated_tokens(text) > LONGEST:
        text = text[len(text) // 4 :]
    kind = "output_text" if item.role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": _ROLES[item.role], "content": content}, had_image
