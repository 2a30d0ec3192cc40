"""Makes responses: asks the persona, and keeps the default conversation to one at a time.

Responses outside the conversation (`conversation:"none"`) run beside it, any number of them. Faults
that hold for the whole session are laid over what the persona planned.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np

from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.function_calls import CallWriter
from rtcvoice.emulator.session.hosted_calls import (
    ApprovalWriter,
    HostedCallWriter,
    needs_approval,
)
from rtcvoice.emulator.session.hosted_tools import HostedTools
from rtcvoice.emulator.session.items import Item, Tokens, create, text_of, text_tokens
from rtcvoice.emulator.session.messages import MessageWriter
from rtcvoice.emulator.session.output_items import OutputItem
from rtcvoice.emulator.session.persona import Context, Persona
from rtcvoice.emulator.session.plan import Call, Failure, HostedCall, Output, Plan, Say
from rtcvoice.emulator.session.responses import Listener, Response, ResponseOptions
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.settings import Settings, has_phases
from rtcvoice.emulator.session.shared import Shared

__all__ = ["Answers"]


class Answers:
    """The responses in progress, and how new ones come to be."""

    def __init__(
        self,
        shared: Shared,
        persona: Persona,
        voice: Voice,
        faults: SessionFaults,
        listener: Listener,
        hosted: HostedTools,
    ) -> None:
        self.default: Response | None = None
        """The response in progress in the default conversation."""
        self._shared = shared
        self._persona = persona
        self._voice = voice
        self._faults = faults
        self._listener = listener
        self._hosted = hosted
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
        self,
        settings: Settings,
        request: dict[str, Any],
        *,
        user_silent: bool = False,
        planned: Plan | None = None,
    ) -> Response | None:
        """Begin a response; `request` is the checked `response` of a `response.create`, or {}.

        `planned`: what it is to be, where the persona has said so before.

        Return None if it is to be lost. Raises RequestError if the conversation is busy, the input
        names an unknown item, or the persona refuses; then nothing was sent.
        """
        options = ResponseOptions.of(settings, request)
        if not options.out_of_band:
            self.check_free()
        entries = self._input(request)
        instructions: str = {**settings, **request}["instructions"]
        prompt = sum((e.tokens for e in entries), Tokens(text_tokens(instructions)))
        context = self._context(entries, settings, request, user_silent=user_silent)
        plan = self._plan(context, sum(prompt), planned)
        if plan.refused is not None:
            raise RequestError(plan.refused, Failure(plan.refused).words)
        if plan.lost:
            return None
        response = Response(self._shared, options, prompt, self._listener)
        self._active[response.id] = response
        if response.in_conversation:
            self.default = response
        writers = self._writers(response, plan, context, settings)
        hosted = any(isinstance(writer, ApprovalWriter | HostedCallWriter) for writer in writers)
        mixed = len({type(writer) for writer in writers}) > 1 and not hosted
        response.begin(writers, plan, interleaved=mixed and has_phases(settings))
        return response

    def _plan(self, context: Context, tokens: int, planned: Plan | None) -> Plan:
        """Return what the persona plans; it is not asked where the faults leave it no choice."""
        faults = self._faults
        if faults.reply_lost:
            return Plan(lost=True)
        if (refusal := self._shared.budget.refusal(tokens, self._shared.agenda.now)) is not None:
            return Plan(failure=refusal)
        plan = planned or self._persona.respond(context)
        if not context.out_of_band:
            self._answered = context.user_id
        failure, stalls_after = plan.failure, plan.stalls_after
        if failure is None and faults.reply_error is not None:
            failure = Failure(faults.reply_error, faults.reply_error_after)
        if stalls_after is None:
            stalls_after = faults.reply_stalls_after
        delay = plan.delay + faults.reply_delay
        return replace(plan, delay=delay, failure=failure, stalls_after=stalls_after)

    def _writers(
        self, response: Response, plan: Plan, context: Context, settings: Settings
    ) -> list[OutputItem]:
        calling = any(isinstance(output, Call) for output in plan.outputs)
        phase = "commentary" if calling else "final_answer" if context.results else None
        writers: list[OutputItem] = []
        for number, output in enumerate(plan.outputs):
            if isinstance(output, HostedCall) and needs_approval(settings, output):
                question = ApprovalWriter(response, output)
                self._hosted.ask(question.id, plan.outputs[number:])
                return [*writers, question]
            writers.append(self._writer(response, output, phase if has_phases(settings) else None))
        return writers

    def _writer(self, response: Response, output: Output, phase: str | None) -> OutputItem:
        match output:
            case Call():
                return CallWriter(response, output)
            case HostedCall():
                return HostedCallWriter(response, output)
        return MessageWriter(response, self._voiced(output, response), phase)

    def _voiced(self, say: Say, response: Response) -> Say:
        if say.speech is not None or response.modality != "audio":
            return say
        return replace(say, speech=self._voice.say(say.text))

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

    def _listen(self, entries: list[Entry]) -> str | None:
        """Return what the clips say that were posted last: one clip may have come in parts."""
        spoken = (e for e in reversed(entries) if e.item.get("role") == "user")
        posted = list(takewhile(lambda entry: entry.unheard, spoken))
        sounds = [entry.sound for entry in reversed(posted) if entry.sound is not None]
        for entry in posted:
            entry.unheard = False
        return self._persona.hear(np.concatenate(sounds)).text if sounds else None

    def _context(
        self,
        entries: list[Entry],
        settings: Settings,
        request: dict[str, Any],
        *,
        user_silent: bool,
    ) -> Context:
        user = next((e for e in reversed(entries) if e.item.get("role") == "user"), None)
        out_of_band = request.get("conversation") == "none"
        if user is not None and user.unheard and not out_of_band:
            user.heard = self._listen(entries)
        user_id = None if user is None else user.item["id"]
        return Context(
            items=[entry.item for entry in entries],
            user_id=user_id,
            user_text=None if user is None else user.heard or text_of(user.item) or None,
            new_turn=user is not None and user_id != self._answered,
            spoken=user is not None
            and any(part["type"] == "input_audio" for part in user.item["content"]),
            out_of_band=out_of_band,
            user_silent=user_silent,
            request=request,
            session=settings,
        )
