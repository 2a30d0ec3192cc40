"""Which responses are out of band: of those the server makes no items of the conversation; pure."""

from __future__ import annotations

from rtcvoice import events

from .requests import Request

__all__ = ["OutOfBand"]

REMEMBERED = 100
"""Responses out of band that are known to be."""


class OutOfBand:
    """The responses of one session that are, as far as it is told; some servers never name that."""

    def __init__(self) -> None:
        self._untracked = 0
        """Those that were asked for without a request, and have not begun."""
        self._server_names_it = False
        """Whether the server says of its responses which conversation they belong to."""
        self._ids: dict[str, None] = {}

    def __contains__(self, response_id: str) -> bool:
        """Whether this one is; also one of unknown origin, of which the server does not say."""
        return response_id in self._ids

    def asked_untracked(self) -> None:
        """Note that one was asked for without a request."""
        self._untracked += 1

    def is_one(
        self, response: events.RealtimeResponse, request: Request | None, *, responding: bool
    ) -> bool:
        """Whether a response that begins is. `responding`: one of the conversation is being made.

        request: what it answers, if it is ours.
        """
        if request is not None:
            return request.out_of_band
        if response.conversation_id is not None:
            return False
        return bool(self._untracked) or (responding and self._server_names_it)

    def began(
        self,
        response: events.RealtimeResponse,
        request: Request | None,
        *,
        is_one: bool,
        may_be_the_servers: bool,
    ) -> None:
        """Note that a response began. `may_be_the_servers`: it makes some without being asked."""
        self._server_names_it |= response.conversation_id is not None
        unnamed = request is None and response.conversation_id is None
        if is_one or (unnamed and (self._server_names_it or not may_be_the_servers)):
            self._ids[response.id or ""] = None
            if len(self._ids) > REMEMBERED:
                del self._ids[next(iter(self._ids))]
        if request is None and is_one:
            self._untracked = max(0, self._untracked - 1)

    def leave(self) -> None:
        """Forget what was asked for: the session is gone."""
        self._untracked = 0
