"""The verbs that only a call of GPT-Live has something for; on others they say what there is."""

from __future__ import annotations

from rtcvoice.errors import ConfigError

__all__ = ["LiveVerbs", "only_live"]


class LiveVerbs:
    """The part of a `Call` that is GPT-Live's alone."""

    async def think(self, text: str) -> None:
        """Let the model know something, silently; GPT-Live only.

        It may use it from its next words on, and may say it. Raises ConfigError on a call of the
        Realtime API.
        """
        raise only_live("think", "seed([{'role': 'system', 'text': ...}]) tells it something")

    async def instruct(self, text: str) -> None:
        """Add to the instructions, for the rest of the call; GPT-Live only.

        Raises ConfigError on a call of the Realtime API.
        """
        raise only_live("instruct", "update(instructions=...) replaces them")


def only_live(verb: str, instead: str) -> ConfigError:
    """Return the error of a verb that the Realtime API has nothing for."""
    return ConfigError(f"{verb}() is for calls of GPT-Live; this one has none", hint=instead)
