"""What a Live session costs: the seconds of inference and of pause, told now and then."""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.live.client_events import item_text
from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.session.items import text_tokens
from rtcvoice.emulator.session.outputs import RATE_HZ

__all__ = ["Usage"]

CONTEXT = 128_000
"""Tokens of the model's window."""

_TOKENS_A_SECOND = 15  # of sound


class Usage:
    """Counts the samples of one session."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._active = 0
        self._paused = 0
        self._told = 0
        self._speech = False
        self._lost = 0.0

    def active(self, samples: int) -> None:
        """Count input audio that the model heard."""
        self._active += samples

    def paused(self, samples: int) -> None:
        """Count input audio that came while the session was paused."""
        self._paused += samples

    def lost(self, seconds: float) -> None:
        """Count the time from a client's vanishing to the end."""
        self._lost += seconds

    def speech(self) -> None:
        """Note that somebody speaks: in silence usage is not told."""
        self._speech = True

    def tell_when_due(self) -> None:
        """Send `session.usage.updated` when there was speech and enough time has passed."""
        every = self._hub.options.usage_every
        if every and self._speech and self._active - self._told >= every * RATE_HZ:
            self._told, self._speech = self._active, False
            self._hub.outbox.send(
                "session.usage.updated",
                usage=self.shown(),
                context_window={"usage_ratio": self._ratio()},
            )

    def shown(self) -> dict[str, Any]:
        """Return the `usage` of an event; of a session that can pause, both kinds of seconds."""
        active, paused = self._active / RATE_HZ + self._lost, self._paused / RATE_HZ
        if "wake_policy" not in self._hub.settings:
            return {"seconds": round(active + paused, 1)}
        whole = {"active_seconds": int(active), "paused_seconds": int(paused)}
        return {"seconds": float(sum(whole.values())), **whole}

    def _ratio(self) -> float:
        texts = [str(self._hub.settings.get("instructions") or "")]
        texts += [item_text(item) for item in self._hub.items]
        tokens = sum(map(text_tokens, texts)) + self._active / RATE_HZ * _TOKENS_A_SECOND
        return round(min(1.0, tokens / CONTEXT), 4)
