"""What a recorded call used and what that cost: as it told it, or reckoned from its events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rtcvoice.conversation.accounts.usage import CallUsage

from .checked import as_dict, number, text

__all__ = ["shown_usage", "told_by"]

_KINDS = (
    ("input_text", "text in"),
    ("input_audio", "audio in"),
    ("input_image", "images in"),
    ("input_other", "other in"),
    ("cached_text", "of it cached: text"),
    ("cached_audio", "of it cached: audio"),
    ("cached_image", "of it cached: images"),
    ("cached_other", "of it cached: other"),
    ("output_text", "text out"),
    ("output_audio", "audio out"),
    ("output_other", "other out"),
    ("reasoning", "of it reasoning"),
)


def told_by(usage: CallUsage) -> dict[str, Any]:
    """Return the usage in the form that recordings have it; empty where nothing was used."""
    if not usage.responses and not usage.transcription.turns:
        return {}
    return {
        "model": usage.model,
        "responses": len(usage.responses),
        "tokens": asdict(usage.tokens),
        "cost": usage.cost,
        "known_cost": usage.known_cost,
    }


def shown_usage(usage: object, *, free: bool) -> dict[str, Any] | None:
    """Return the usage as the page shows it; None where nothing was told.

    free: whether nothing was charged, whatever it would cost elsewhere.
    """
    fields = as_dict(usage)
    if not fields:
        return None
    tokens = as_dict(fields.get("tokens"))
    counts = [(told, number(tokens.get(name))) for name, told in _KINDS]
    return {
        "model": text(fields.get("model"), 200),
        "responses": number(fields.get("responses")),
        "tokens": [(told, f"{count:,.0f}") for told, count in counts if count],
        "cost": number(fields.get("cost")),
        "known_cost": number(fields.get("known_cost")),
        "free": free,
    }
