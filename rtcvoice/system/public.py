"""Marks the classes that users see by their name at the top of the package, `rtcvoice.Turn`."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["public"]

ClassT = TypeVar("ClassT", bound=type)


def public(cls: ClassT) -> ClassT:
    """Let a class say `rtcvoice` for its module: reprs, tracebacks and pickles name it so.

    It must be importable from there. The outermost decorator: others look a class's module up. Not
    for enums, whose reprs do not name it.
    """
    cls.__module__ = "rtcvoice"
    return cls
