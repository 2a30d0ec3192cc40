"""Part of scripts/fuzz: a server that answers the token request, or the offer, with anything."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import zlib

from odd_input import NUMBERS, TEXTS, call_watched, changed_bytes

__all__ = ["case"]

TOKEN = {"value": "ek_0123456789abcdef", "expires_at": 4_000_000_000, "session": {}}
ERROR = {"error": {"message": "No.", "type": "x", "param": None, "code": "invalid_api_key"}}
STATUS = [100, 101, 103, 200, 200, 200, 201, 204, 206, 301, 302, 304, 307, 308, 400, 401, 402, 403]
STATUS += [404, 405, 407, 408, 409, 413, 415, 418, 422, 425, 426, 429, 429, 431, 451, 499, 500, 502]
STATUS += [503, 504, 520, 529, 599, 600, 999, 0]
HEADERS = [
    "Retry-After: {}",
    "Content-Type: {}",
    "Location: {}",
    "Location: http://127.0.0.1:9/",
    "Location: file:///etc/passwd",
    "x-request-id: {}",
    "Set-Cookie: {}",
    "WWW-Authenticate: {}",
    "Content-Encoding: {}",
    "Connection: close",
    "Upgrade: websocket",
    "{}: {}",
    "Openai-Processing-Ms: {}",
]
TYPES = ["application/json", "application/sdp", "text/html", "text/plain; charset=utf-16", ""]


def case(seed: int) -> str:
    """Have one call; see `call_watched`."""
    return asyncio.run(_called(random.Random(seed)))


async def _called(rng: random.Random) -> str:
    pieces = answer(rng)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(rng.choice([0, 0, 0, 0.01]))
            if rng.random() < 0.1:
                await asyncio.sleep(2)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    direct = {"direct": True} if rng.random() < 0.3 else {}
    try:
        return await call_watched(f"http://127.0.0.1:{port}/v1", **direct)
    finally:
        server.close()


def answer(rng: random.Random) -> list[bytes]:
    """Return the bytes of an answer, in the pieces in which they are sent."""
    body = _body(rng)
    headers = [f"Content-Type: {rng.choice(TYPES)}"]
    match rng.randrange(12):
        case 0:
            body = gzip.compress(body)
            headers.append("Content-Encoding: gzip")
        case 1:
            body = zlib.compress(body)
            headers.append("Content-Encoding: deflate")
        case 2:
            headers.append(f"Content-Encoding: {rng.choice(['gzip', 'br', 'zstd', 'gzip, gzip'])}")
    if rng.random() < 0.1:
        body = changed_bytes(body, rng)
    match rng.randrange(20):
        case 0:
            headers.append(f"Content-Length: {rng.choice(NUMBERS)}")
        case 1:
            headers.append("Transfer-Encoding: chunked")
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
            if rng.random() < 0.3:
                body = changed_bytes(body, rng)
        case 2:
            pass
        case _:
            headers.append(f"Content-Length: {len(body)}")
    for _ in range(rng.choice([0, 0, 0, 1, 2, 5])):
        value = rng.choice([*TEXTS, *NUMBERS])
        headers.append(rng.choice(HEADERS).format(value, value))
    if rng.random() < 0.03:
        headers += [f"x-{n}: {'a' * 100}" for n in range(rng.choice([200, 2000]))]
    version = rng.choice(["HTTP/1.1"] * 40 + ["HTTP/1.0", "HTTP/2", "ICY"])
    head = f"{version} {rng.choice(STATUS)} {rng.choice(['OK'] * 30 + TEXTS)}\r\n"
    whole = (head + "\r\n".join(headers)).encode("utf-8", "replace") + b"\r\n\r\n" + body
    if rng.random() < 0.05:
        whole = changed_bytes(whole, rng)
    cuts = sorted(rng.randrange(len(whole) + 1) for _ in range(rng.choice([0, 0, 1, 3])))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def _body(rng: random.Random) -> bytes:
    match rng.randrange(9):
        case 0:
            return b""
        case 1:
            return rng.randbytes(rng.choice([1, 100, 100_000]))
        case 2:
            return b"<html><title>" + rng.choice(TEXTS).encode("utf-8", "replace") + b"</title>"
        case 3:
            return b"v=0\r\n" + rng.choice(TEXTS).encode("utf-8", "replace")
        case 4:
            return bytes(rng.choice([10, 10_000_000]))  # which compresses well
        case 5:
            return b"[" * rng.choice([10, 100_000])
    made = json.loads(json.dumps(rng.choice([TOKEN, ERROR])))
    target = made.get("error", made)
    for _ in range(rng.choice([1, 1, 3])):
        odd = [*TEXTS, None, True, -1, 1e308, [], {}, [[]], {"a": 1}, "sk-fuzz-0123456789abcdef"]
        target[rng.choice(list(target))] = rng.choice(odd)
    return json.dumps(made, ensure_ascii=rng.random() < 0.5).encode("utf-8", "replace")
