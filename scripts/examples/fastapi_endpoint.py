"""An HTTP endpoint: send a question in writing, get the spoken answer as a WAV file.

    pip install fastapi uvicorn
    CLIENT_KEYS=secret1,secret2 uvicorn fastapi_endpoint:app
    curl -H "Authorization: Bearer secret1" --json '{"text": "Hello!"}' \
        http://127.0.0.1:8000/ask > answer.wav

Each request is a call of its own, which costs money. So the endpoint lets in only clients that
show a key, only a few calls at a time and per minute, and bounds the length of the question, the
cost and the time of each call. Your key for the service (OPENAI_API_KEY) stays on the server.
"""

import asyncio
import hmac
import io
import logging
import os
import time
import wave
from collections import defaultdict, deque
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, Field

import rtcvoice

CALLS_AT_A_TIME = 4
CALLS_PER_MINUTE = 10  # of each client
LONGEST_CALL = 60.0  # seconds
LIMITS = rtcvoice.Limits(cost=0.20, seconds=45)

logger = logging.getLogger(__name__)
app = FastAPI()
_places = asyncio.Semaphore(CALLS_AT_A_TIME)
_times: defaultdict[str, deque[float]] = defaultdict(deque)  # one for each key: bounded


class Question(BaseModel):
    """What a client asks."""

    text: str = Field(min_length=1, max_length=500)


def client(authorization: Annotated[str, Header()] = "") -> str:
    """Return the key of the client; refuse those without one, and those that ask too often."""
    given = authorization.removeprefix("Bearer ").encode()
    keys = [key for key in os.environ.get("CLIENT_KEYS", "").split(",") if key]
    # Compared in constant time, so that the time tells nothing about the keys.
    known = [key for key in keys if hmac.compare_digest(key.encode(), given)]
    if not known:
        raise HTTPException(401, "show a key: Authorization: Bearer ...")
    times, now = _times[known[0]], time.monotonic()
    while times and times[0] < now - 60:
        times.popleft()
    if len(times) >= CALLS_PER_MINUTE:
        raise HTTPException(429, "too many questions; try again in a minute")
    times.append(now)
    return known[0]


@app.post("/ask")
async def ask(question: Question, _: Annotated[str, Depends(client)]) -> Response:
    """Ask the model and return what it says."""
    if _places.locked():
        raise HTTPException(503, "all lines are busy; try again in a moment")
    async with _places:
        try:
            async with asyncio.timeout(LONGEST_CALL):
                return Response(await spoken(question.text), media_type="audio/wav")
        except TimeoutError:
            raise HTTPException(504, "the answer took too long") from None
        except rtcvoice.RtcVoiceError as error:
            logger.exception("x the call failed")  # details go to your log, not to the client
            raise HTTPException(502, "the voice service failed") from error


async def spoken(text: str) -> bytes:
    """Return the spoken answer as a WAV file."""
    async with rtcvoice.connect(source=None, sink=None, limits=LIMITS) as call:
        reply = await call.ask(text)
        await reply.played()
        file = io.BytesIO()
        with wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(reply.rate)
            wav.writeframes(reply.audio.tobytes())
        return file.getvalue()
