"""Puts what was gathered into one HTML document that needs nothing else; pure.

WHAT A RECORDING HOLDS IS NEVER MARKUP. It stands in elements of type `application/json`, which are
not run, with `<`, `>`, `&` and all that is not ASCII escaped; the script puts it on the page as
text. The policy of the page lets nothing else happen: no request, no script and no style but ours,
by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from .gathered import Gathered

__all__ = ["BEGINNING", "document", "embedded"]

BEGINNING = b"<!doctype html>\n<!-- rtcvoice report -->\n"
"""How a report begins; so one is known from other files."""

_PAGE = Path(__file__).parent / "page"

SCRIPTS = ("text.js", "sound.js", "timeline.js", "drawing.js", "tables.js", "events.js", "start.js")
"""They are one script, in this order."""


def document(gathered: Gathered) -> bytes:
    """Return the page."""
    style, script = _file("style.css"), _script()
    parts = {
        "policy": _policy(script, style),
        "style": style,
        "script": script,
        "facts": embedded(gathered.facts),
        "events": embedded(gathered.events),
        "sound": embedded(base64.b64encode(gathered.opus).decode()),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], _file("page.html"))
    return BEGINNING + page.encode("ascii")


def embedded(value: Any) -> str:
    """Return JSON that can stand in an HTML document, whatever is in it; ASCII."""
    told = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":  # the others that matter are not ASCII, and escaped by now
        told = told.replace(character, f"\\u{ord(character):04x}")
    return told


def _policy(script: str, style: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "media-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("ascii")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _script() -> str:
    body = "\n".join(_file(f"{name}") for name in SCRIPTS)
    return f'\n"use strict";\n(() => {{\n{body}}})();\n'


@cache
def _file(name: str) -> str:
    return (_PAGE / name).read_text(encoding="ascii")
