"""The SDP offer of a page, read and looked at before anybody is paid for it."""

from __future__ import annotations

import asyncio
import re

from .http import CallerRequest, Refusal

__all__ = ["BODY_TIMEOUT", "MOST_BYTES", "offer_in"]

MOST_BYTES = 64 << 10
"""Of an offer. A browser's has about 6,000."""

MOST_LINES = 2000

BODY_TIMEOUT = 10.0
"""Seconds that the whole of it may take to arrive."""

_LINE = re.compile(r"[a-z]=[^\x00-\x08\x0a-\x1f\x7f]*")
_NEEDED = ("m=audio ", "a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:")


async def offer_in(request: CallerRequest) -> str:
    """Return the offer in a request. Raises Refusal for what is none, is too large or too slow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/sdp":
        raise Refusal(415, "invalid_offer", "Send the SDP offer as application/sdp.")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and len(announced) < 20:
        _check_size(int(announced))
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await _read(request)
    except TimeoutError as exc:
        raise Refusal(408, "too_slow", "The offer did not arrive in time.") from exc
    return _checked(body)


async def _read(request: CallerRequest) -> bytes:
    body = bytearray()
    async for part in request.body:
        body += part
        _check_size(len(body))
    return bytes(body)


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise Refusal(413, "too_large", f"An offer has at most {MOST_BYTES} bytes.")


def _checked(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise _no_offer() from exc
    lines = text.replace("\r\n", "\n").split("\n")
    if lines.pop() != "" or not 4 <= len(lines) <= MOST_LINES or lines[0] != "v=0":
        raise _no_offer()
    if not all(map(_LINE.fullmatch, lines)):
        raise _no_offer()
    if not all(any(line.startswith(start) for line in lines) for start in _NEEDED):
        raise _no_offer()
    return text


def _no_offer() -> Refusal:
    return Refusal(400, "invalid_offer", "The body is no SDP offer with audio, as WebRTC makes it.")
