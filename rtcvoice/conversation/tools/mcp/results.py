"""What a call of an MCP tool gave, as the text that the model gets; pure."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["shortened", "text_of"]

_MARK = "\n[cut off here: the result is longer]"


def text_of(result: Any) -> str:
    """Return a result as text: its texts as they are, and a note for each thing that is none."""
    parts = [_part(block) for block in getattr(result, "content", None) or ()]
    text = "\n".join(part for part in parts if part)
    structured = getattr(result, "structured_content", None)
    if not text and structured is not None:
        return msgspec.json.encode(structured).decode()
    return text


def shortened(text: str, limit: int) -> str:
    """Return as much of a text as takes `limit` bytes in a message, with a mark where it ends."""
    if len(text) <= limit and _size(text) <= limit:
        return text
    text = text[:limit]  # no character takes less
    size = _size(text)
    while size > limit - len(_MARK) - 2:
        text = text[: min(len(text) - 1, int(len(text) * (limit - len(_MARK) - 2) / size))]
        size = _size(text)
    return text + _MARK


def _size(text: str) -> int:
    return len(msgspec.json.encode(text))


def _part(block: Any) -> str:
    kind = getattr(block, "type", "")
    if kind == "text":
        return _readable(block.text)
    if kind in ("image", "audio"):
        return f"[{kind}, {getattr(block, 'mime_type', '')}: it cannot be shown here]"
    if kind == "resource_link":
        return f"[resource {getattr(block, 'uri', '')}]"
    if kind == "resource":
        inner = getattr(block, "resource", None)
        text = getattr(inner, "text", None)
        return (
            _readable(text) if isinstance(text, str) else f"[resource {getattr(inner, 'uri', '')}]"
        )
    return f"[{kind}]"


def _readable(text: str) -> str:
    """Return the text as UTF-8 can carry it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
