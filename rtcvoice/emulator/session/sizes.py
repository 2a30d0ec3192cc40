"""How much memory an event or item takes, roughly: what is kept of a client's is bounded by it."""

from __future__ import annotations

from typing import Any

__all__ = ["weight"]

_NODE = 64
"""Bytes of an object of Python beside what it holds."""


def weight(value: Any) -> int:
    """Return the bytes of JSON-like data in memory, within a factor of two."""
    total, left = 0, [value]
    while left:
        node = left.pop()
        total += _NODE
        if isinstance(node, str):
            total += len(node)
        elif isinstance(node, dict):
            total += sum(map(len, node))
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)
    return total
