"""How changes of a session add up: as the service merges them; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["over"]


def over(session: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a session with changes: the backend's fields one by one, everything else whole."""
    result = {**session, **changes}
    before, after = session.get("delegation"), changes.get("delegation")
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        delegation = result["delegation"] = {**before, **after}
        if isinstance(before.get("responses"), Mapping) and isinstance(
            after.get("responses"), Mapping
        ):
            delegation["responses"] = {**before["responses"], **after["responses"]}
    return result
