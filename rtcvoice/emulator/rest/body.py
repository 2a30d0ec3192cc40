"""Request bodies of the emulator's HTTP side: what can be read from them, and the refusals.

Three shapes come in: JSON, a raw SDP offer, and a form with the parts `sdp` and `session`. Form
parts may or may not have a content type and a file name; all mean the same here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import BodyPartReader, web

from rtcvoice.emulator.session.schema import RequestError

__all__ = [
    "MOST_BYTES",
    "InvalidOffer",
    "RestError",
    "checked_offer",
    "read_body",
    "read_json",
    "read_offer",
]

MOST_BYTES = 1024**2
"""Size of the largest body that is read."""

MOST_PARTS = 20
"""Parts of a form that are read; two are used."""

BODY_TIMEOUT = 30.0
"""Seconds that a client may take to send a body."""


class RestError(Exception):
    """A request refused: HTTP status and the fields of the service's `error` object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.headers = headers

    def body(self) -> dict[str, Any]:
        """Return the `error` object."""
        return {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }


class InvalidOffer(Exception):  # noqa: N818  (the service's name for it)
    """The offer cannot be answered; the text says why and goes to the client."""


async def read_json(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body; an empty body counts as `{}`. Raises RestError."""
    body = await read_body(request)
    if not body.strip():
        return {}
    if request.content_type != "application/json":
        raise _unsupported(request, "'application/json'")
    return _json_object(body, None)


async def read_offer(request: web.Request) -> tuple[str, Any]:
    """Return the SDP offer and the session object with it, None if there is none.

    The offer begins as SDP does and ends with a line end; the session is not checked. Raises
    RestError.
    """
    if request.content_type == "application/sdp":
        return _offer(await read_body(request)), None
    if request.content_type != "multipart/form-data":
        raise _unsupported(request, "'application/sdp' and 'multipart/form-data'")
    parts = await _parts(request)
    for name in parts.keys() - {"sdp", "session"}:
        raise RestError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    if "sdp" not in parts:
        raise RestError(
            400,
            "Missing required parameter: 'sdp'.",
            code="missing_required_parameter",
            param="sdp",
        )
    session = _json_object(parts["session"], "session") if "session" in parts else None
    return _offer(parts["sdp"]), session


async def read_body(request: web.Request) -> bytes:
    """Return the body as it is. Raises RestError: too large, too slow, or not to be decoded."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError as exc:
        raise _too_slow() from exc
    except (web.RequestPayloadError, ConnectionError) as exc:  # undecodable, or the client left
        raise _unreadable() from exc


async def _parts(request: web.Request) -> dict[str, bytes]:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_parts(request)
    except (RestError, web.HTTPException):
        raise
    except TimeoutError as exc:
        raise _too_slow() from exc
    # aiohttp has no one error for a broken form: its reader lets whatever it meets escape.
    except Exception as exc:
        raise _unreadable() from exc


async def _read_parts(request: web.Request) -> dict[str, bytes]:
    reader = await request.multipart()
    parts: dict[str, bytes] = {}
    room = MOST_BYTES
    for _ in range(MOST_PARTS):
        part = await reader.next()
        if part is None:
            return parts
        if not isinstance(part, BodyPartReader) or part.name is None:
            break
        parts[part.name] = await _part(part, room)
        room -= len(parts[part.name])  # also of a part whose name comes again
    raise _unreadable()


async def _part(part: BodyPartReader, room: int) -> bytes:
    body = bytearray()
    while chunk := await part.read_chunk():
        body += chunk
        if len(body) > room:
            raise web.HTTPRequestEntityTooLarge(max_size=MOST_BYTES, actual_size=len(body))
    return bytes(part.decode(body))


def _json_object(body: bytes, param: str | None) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as exc:
        message = "We could not parse the JSON body of your request."
        raise RestError(400, message, code="invalid_json", param=param) from exc
    if not isinstance(value, dict):
        message = "Invalid type: expected an object."
        raise RequestError("invalid_value", message, param)
    return value


def _offer(body: bytes) -> str:
    try:
        offer = body.decode()
    except UnicodeDecodeError as exc:
        raise _not_sdp() from exc
    return checked_offer(offer)


def checked_offer(offer: str) -> str:
    """Return an offer that looks like SDP, and ends as it does. Raises RestError (400)."""
    if not offer.endswith("\n"):
        # What a stripped offer gets: the parser of the service wants every line to end.
        message = "Failed to parse offer: failed to unmarshal SDP: EOF"
        raise RestError(400, message, code="invalid_offer")
    lines = offer.removesuffix("\n").split("\n")
    if not lines[0].startswith("v=0") or not all(re.match("[a-z]=", line) for line in lines):
        raise _not_sdp()
    return offer


def _not_sdp() -> RestError:
    message = "Invalid SDP offer. Please try again with a WHIP-compliant offer."
    return RestError(400, message, code="invalid_offer")


def _too_slow() -> RestError:
    return RestError(408, f"The body of the request did not come within {BODY_TIMEOUT:g} s.")


def _unreadable() -> RestError:
    return RestError(400, "The body of the request could not be read.")


def _unsupported(request: web.Request, accepted: str) -> RestError:
    return RestError(
        400,
        f"Unsupported content type: '{request.content_type}'. This API method only accepts"
        f" {accepted} requests.",
        code="unsupported_content_type",
    )
