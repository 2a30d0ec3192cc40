"""Makes responses: asks the persona, and keeps the default conversation to one at a time.

Responses outside the conversation (`conversation:"none"`) run beside it, any number of them.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.items import Item, Tokens, create, text_of, text_tokens
from rtcvoice.emulator.session.messages import MessageWriter
from rtcvoice.emulator.session.persona import Context, Persona
from rtcvoice.emulator.session.responses import Listener, Response, ResponseOptions
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.session.shared import Shared

__all__ = ["Answers"]


class Answers:
    """The responses in progress, and how new ones come to be."""

    def __init__(self, shared: Shared, persona: Persona, listener: Listener) -> None:
        self.default: Response | None = None
        """The response in progress in the default conversation."""
        self._shared = shared
        self._persona = persona
        self._listener = listener
        self._active: dict[str, Response] = {}
        self._answered: str | None = None  # id of the newest user item that got an answer

    def check_free(self) -> None:
        """Raise RequestError if the default conversation has a response in progress."""
        if self.default is not None:
            raise RequestError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self.default.id}. Wait"
                " until the response is finished before creating a new one.",
            )

    def create(
        self, settings: Settings, request: dict[str, Any], *, user_silent: bool = False
    ) -> Response:
        """Begin a response; `request` is the checked `response` of a `response.create`, or {}.

        Raises RequestError if the conversation is busy or the input names an unknown item; then
        nothing was sent.
        """
        options = ResponseOptions.of(settings, request)
        if not options.out_of_band:
            self.check_free()
        entries = self._input(request)
        instructions: str = {**settings, **request}["instructions"]
        prompt = sum((e.tokens for e in entries), Tokens(text_tokens(instructions)))
        context = self._context(entries, settings, request, user_silent=user_silent)
        response = Response(self._shared, options, prompt, self._listener)
        self._active[response.id] = response
        if response.in_conversation:
            self.default = response
        response.begin([MessageWriter(response, self._persona.respond(context))])
        return response

    def remove(self, response: Response) -> None:
        """Forget a response that has ended."""
        self._active.pop(response.id, None)
        if self.default is response:
            self.default = None

    def find(self, response_id: str | None) -> Response:
        """Return the one to cancel: by id, or the default one. Raises RequestError if none."""
        found = self.default if response_id is None else self._active.get(response_id)
        if found is None:
            raise RequestError(
                "response_cancel_not_active", "Cancellation failed: no active response found"
            )
        return found

    def _input(self, request: dict[str, Any]) -> list[Entry]:
        if "input" not in request:
            return list(self._shared.conversation)
        return [
            self._input_entry(item, f"response.input[{index}]")
            for index, item in enumerate(request["input"])
        ]

    def _input_entry(self, item: Item, path: str) -> Entry:
        if item["type"] != "item_reference":
            return Entry(*create(item, self._shared.ids.item(), path))
        entry = self._shared.conversation.get(item["id"])
        if entry is None:
            raise invalid(f"{path}.id", f"There is no item with the id '{item['id']}'.")
        return entry

    def _context(
        self,
        entries: list[Entry],
        settings: Settings,
        request: dict[str, Any],
        *,
        user_silent: bool,
    ) -> Context:
        user = next((e for e in reversed(entries) if e.item.get("role") == "user"), None)
        user_id = None if user is None else user.item["id"]
        out_of_band = request.get("conversation") == "none"
        new_turn = user is not None and user_id != self._answered
        if not out_of_band:
            self._answered = user_id
        return Context(
            items=[entry.item for entry in entries],
            user_text=None if user is None else user.heard or text_of(user.item) or None,
            new_turn=new_turn,
            spoken=user is not None
            and any(part["type"] == "input_audio" for part in user.item["content"]),
            out_of_band=out_of_band,
            user_silent=user_silent,
            request=request,
            session=settings,
        )
