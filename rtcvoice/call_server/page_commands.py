"""What a page may have done with its call, by its socket: hang up, mute, hold a key, write."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from rtcvoice.conversation.asking.talk import Talk
from rtcvoice.errors import CallEnded, ConfigError, RtcVoiceError
from rtcvoice.system import clock
from rtcvoice.token_server.rate_limit import RequestLimit

from .http import Socket
from .served_call import PageSocket, ServedCall

__all__ = ["serve_page"]

logger = logging.getLogger(__name__)

MOST_BYTES = 16 << 10
"""Of one message."""

MOST_TEXT = 4000
"""Characters of a text."""

PER_MINUTE = 60
"""Messages of one page; more are dropped."""


async def serve_page(served: ServedCall, page: PageSocket, socket: Socket) -> None:
    """Do what a page says, until its socket closes."""
    limit = RequestLimit(PER_MINUTE)
    commands = _Commands(served)
    try:
        while (text := await socket.receive()) is not None:
            if len(text) > MOST_BYTES or limit.take("", clock.now()):
                page.put({"type": "error", "message": "Too much at once."})
                continue
            await _obey(commands, page, text)
    finally:
        await commands.let_go()


async def _obey(commands: _Commands, page: PageSocket, text: str) -> None:
    try:
        message = msgspec.json.decode(text)
        if isinstance(message, dict):
            await commands.obey(message)
    except (msgspec.DecodeError, RecursionError):
        page.put({"type": "error", "message": "That is not JSON."})
    except CallEnded:
        pass
    except RtcVoiceError as exc:
        logger.info("x a page asked for what cannot be: %s", exc)
        page.put({"type": "error", "message": "That is not possible now."})


class _Commands:
    def __init__(self, served: ServedCall) -> None:
        self._served = served
        self._talk: Talk | None = None

    async def obey(self, message: dict[str, Any]) -> None:
        """Do it. Raises RtcVoiceError."""
        if message.get("type") == "hangup":
            await self._served.end("the page hung up")
        call = self._served.call
        if call is None:  # not yet
            return
        on, text = message.get("on"), message.get("text")
        match message.get("type"):
            case "mute" if isinstance(on, bool):
                try:
                    if on:
                        call.mute()
                    else:
                        call.unmute()
                except ConfigError:
                    pass  # the page has its microphone muted itself
            case "talk" if on is True and self._talk is None:
                talk = call.talk()
                await talk.__aenter__()
                self._talk = talk
            case "talk" if on is False:
                await self.let_go()
            case "text" if isinstance(text, str) and text.strip():
                await call.send(text[:MOST_TEXT])

    async def let_go(self) -> None:
        """End a talk, if there is one."""
        talk, self._talk = self._talk, None
        if talk is not None:
            try:
                await talk.__aexit__(None, None, None)
            except RtcVoiceError as exc:
                logger.info("x the end of a talk came to nothing: %s", exc)
