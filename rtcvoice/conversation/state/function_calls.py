"""The model's function calls, and their outputs, by the response they belong to; pure.

A response may call several functions. They may be run as soon as each is complete, but the model is
answered once: with all outputs together, when the response is over.

What runs for a call may ask for things that come only after its output: the answer to the call, or
the end of everything. `running_call` tells whoever would wait that it would wait for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from rtcvoice import events

__all__ = [
    "CURRENT_CALL",
    "AnsweredCalls",
    "CalledFunction",
    "CurrentCall",
    "FunctionCalls",
    "OnStart",
    "running_call",
]

MOST_ROUNDS = 25
"""Answers in a row that may call functions, each upon the outputs of the one before."""

REMEMBERED = 2000
"""Ids of calls and their items by which a repeated delivery is known."""


@dataclass(frozen=True, kw_only=True)
class CalledFunction:
    """A function that the model wants called; `arguments` is complete JSON text, unchecked."""

    item_id: str
    call_id: str
    name: str
    arguments: str
    response_id: str


@dataclass(eq=False)
class CurrentCall:
    """The function call that a piece of user code runs for."""

    call: CalledFunction
    running: bool = True
    """Whether it runs yet; what it left behind runs for nobody."""
    answered: bool = False
    """Whether the model has an output of it: one that runs in the background was answered first."""
    report: Callable[[str, bool], None] | None = None
    """Tells the model how far it is, and whether to speak of it; None once it is over."""
    enter: Callable[[], object] | None = None
    """Called in each context that its code gets, and may set context variables there."""

    def make_known(self, context: Context) -> None:
        """Let code that runs in this context know whom it runs for."""
        context.run(CURRENT_CALL.set, self)
        if self.enter is not None:
            context.run(self.enter)


OnStart: TypeAlias = Callable[[CalledFunction, str], Callable[[], object] | None]
"""Told a call, and its tool's name, just before it runs; returns what becomes its `enter`."""

CURRENT_CALL: ContextVar[CurrentCall | None] = ContextVar("rtcvoice function call", default=None)
"""Set in the context of a tool; tasks and threads that it starts have it too."""


def running_call() -> CalledFunction | None:
    """Return the function call that the caller runs for; None outside tools."""
    current = CURRENT_CALL.get()
    return current.call if current is not None and current.running else None


class AnsweredCalls(NamedTuple):
    """All calls of one response with their outputs."""

    response_id: str
    outputs: list[tuple[CalledFunction, str]]
    wanted: bool
    """Whether a response is to follow: not when the client stopped the one that called."""
    silent: bool = False
    """Whether none follows because nobody is to speak of any of the outputs."""


@dataclass
class _Group:
    calls: list[CalledFunction] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    """Calls whose outputs nobody is to speak of."""
    over: bool = False
    wanted: bool = True

    @property
    def complete(self) -> bool:
        """Whether all its calls have outputs."""
        return len(self.outputs) == len({call.call_id for call in self.calls})


class FunctionCalls:
    """The calls that are not answered yet. Nothing is kept of a response without any.

    A call that is delivered again, under the id of its item or its own, counts once.
    """

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._new: list[CalledFunction] = []
        self._arguments: dict[str, events.ResponseFunctionCallArgumentsDone] = {}  # by item
        self._known: dict[tuple[str, str], None] = {}  # ("call" or "item", id)

    def __bool__(self) -> bool:
        """Whether any call is unanswered."""
        return bool(self._groups)

    def __len__(self) -> int:
        """The number of calls of responses that are not answered yet."""
        return sum(len(group.calls) for group in self._groups.values())

    def waiting(self, but: Collection[str] = ()) -> bool:
        """Whether any call is unanswered, other than those whose `call_id` is in `but`."""
        return any(
            call.call_id not in group.outputs and call.call_id not in but
            for group in self._groups.values()
            for call in group.calls
        ) or any(group.complete for group in self._groups.values())

    def will_follow_up(self, response_id: str) -> bool:
        """Whether a further response is to come for the calls of this one."""
        group = self._groups.get(response_id)
        return group is not None and group.wanted

    def belong_to(self, response_id: str) -> bool:
        """Whether any call of a response is not answered, or the response not over."""
        return response_id in self._groups

    def take_new(self) -> list[CalledFunction]:
        """Return the calls that became complete since the last time."""
        new, self._new = self._new, []
        return new

    def add(self, response_id: str, item: events.FunctionCall) -> None:
        """Take a finished item; one cut off by an interruption has no use."""
        if item.status == "incomplete" or not item.call_id or self._is_known(item):
            return
        call = CalledFunction(
            item_id=item.id or "",
            call_id=item.call_id,
            name=item.name,
            arguments=item.arguments,
            response_id=response_id,
        )
        self._groups.setdefault(response_id, _Group()).calls.append(call)
        self._new.append(call)

    def _is_known(self, item: events.FunctionCall) -> bool:
        """Whether the call came before; it is remembered from now on."""
        names = [("call", item.call_id or ""), *([("item", item.id)] if item.id else [])]
        known = any(name in self._known for name in names)
        self._known.update(dict.fromkeys(names))
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return known

    def arguments(self, event: events.ResponseFunctionCallArgumentsDone) -> None:
        """Note the arguments of a call, should its item not come."""
        self._arguments[event.item_id] = event
        if len(self._arguments) > REMEMBERED:
            del self._arguments[next(iter(self._arguments))]

    def calls_of_done(self, response: events.RealtimeResponse) -> list[events.FunctionCall]:
        """Return the calls of a response that is over, as other events than their own tell them."""
        mine = [each for each in self._arguments.values() if each.response_id == response.id]
        for event in mine:
            del self._arguments[event.item_id]
        if response.status not in (None, "completed"):
            return []
        items = [item for item in response.output or [] if isinstance(item, events.FunctionCall)]
        return items + [
            events.FunctionCall(
                id=each.item_id, call_id=each.call_id, name=each.name, arguments=each.arguments
            )
            for each in mine
            if each.name
        ]

    def answer(self, call_id: str, output: str, *, speak: bool = True) -> bool:
        """Give the output of a call; the first one counts, for an unknown call none does.

        Return whether this one counts. Where no output of a response is to be spoken of, no
        further response is wanted.
        """
        for group in self._groups.values():
            known = any(call.call_id == call_id for call in group.calls)
            if known and call_id not in group.outputs:
                group.outputs[call_id] = output
                if not speak:
                    group.silent.add(call_id)
                return True
        return False

    def forget(self, call_id: str) -> None:
        """Forget a call: somebody else answers it."""
        for response_id, group in list(self._groups.items()):
            group.calls = [call for call in group.calls if call.call_id != call_id]
            if not group.calls:
                del self._groups[response_id]

    def response_over(self, response_id: str, *, stopped: bool) -> None:
        """Note that the response is done; `stopped`: because the client wanted it so."""
        if group := self._groups.get(response_id):
            group.over = True
            group.wanted = not stopped

    def stop(self) -> None:
        """Let nothing follow up the calls so far; their outputs still go in."""
        for group in self._groups.values():
            group.wanted = False

    def take_answered(self) -> list[AnsweredCalls]:
        """Return, and forget, the responses that are over and whose calls all have outputs."""
        complete = [
            response_id
            for response_id, group in self._groups.items()
            if group.over and group.complete
        ]
        return [self._take(response_id) for response_id in complete]

    def _take(self, response_id: str) -> AnsweredCalls:
        group = self._groups.pop(response_id)
        outputs = [(call, group.outputs[call.call_id]) for call in group.calls]
        silent = group.silent.issuperset(group.outputs)
        return AnsweredCalls(response_id, outputs, group.wanted and not silent, silent)
