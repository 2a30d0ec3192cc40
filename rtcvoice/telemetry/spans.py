"""Makes spans of a call's facts, each at the time of its facts; on the listener's thread only.

    rtcvoice.connect                      from the beginning until the call is ready
    rtcvoice.turn                         one side's turn and all that answers it
      ├ user_speech                       as the server hears it
      ├ realtime_inference {model}        one for each response
      ├ execute_tool {name}               (`tool_spans.py`)
      └ assistant_speech                  what was really heard
    rtcvoice.reconnect                    from the loss until the call goes on

A span of a response waits for its words, and a turn until nothing of it goes on: both are looked
at each second, when the figures come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode

from rtcvoice.call import facts
from rtcvoice.events import Reconnected, Reconnecting

from . import names
from .attributes import Attributes, arguments, content, message, text
from .connect_span import ConnectSpan
from .replies import Reply
from .turns import TalkTurn

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from rtcvoice.call.facts import Fact

    from .tool_spans import ToolSpans
    from .tracing import Tracing
    from .turns import TalkTurns

__all__ = ["CallSpans"]

QUIET = 2.0
"""Seconds after which a turn that was answered is over."""

ANSWER_TIMEOUT = 10.0
"""Seconds in which an answer to the user, or to a tool's output, begins."""

MOST_OPEN = 200
"""Responses, and speeches of the user, that are followed at a time."""


class CallSpans:
    """The spans of one call. `said`: whether they hold what was said."""

    def __init__(self, tracing: Tracing, turns: TalkTurns, tools: ToolSpans, *, said: bool) -> None:
        self._tracing = tracing
        self._turns = turns
        self._tools = tools
        self._said = said
        self._connect = ConnectSpan(tracing)
        self._replies: dict[str, Reply] = {}
        self._speeches: dict[str, tuple[Span, TalkTurn]] = {}
        self._heard_speeches: dict[str, tuple[Span, float]] = {}
        self._roots: dict[TalkTurn, float] = {}  # when the last of it ended
        self._delay = 0.0  # from the server's word to the ear, in seconds
        self._leg_ended = 0.0, ""
        self._loss: tuple[float, str, int] | None = None

    def take(self, fact: Fact) -> None:
        """Take the next fact."""
        self._tracing.ids.take(fact)
        match fact:
            case (
                facts.CallStarted()
                | facts.StageBegan()
                | facts.StageEnded()
                | facts.LegUp()
                | facts.SessionKnown()
                | facts.CallReady()
            ):
                self._connect.take(fact)
            case facts.LegEnded():
                self._leg_ended = fact.time, fact.reason
                self._end_speeches(fact.time)
            case facts.SpeechBegan(side="user"):
                self._user_began(fact)
            case facts.SpeechEnded(side="user"):
                self._user_ended(fact)
            case facts.SpeechBegan():
                self._end_namesake(fact.id, fact.time, speaks=True)
                self._reply(fact.id, fact.time).speech_began = fact.time
            case facts.SpeechEnded():
                reply = self._reply(fact.id, fact.time)
                if reply.speech_ended is None:
                    reply.speech_ended, reply.cut = fact.time, fact.cut
            case facts.ReplyBegan():
                self._end_namesake(fact.response_id, fact.time, speaks=False)
                reply = self._reply(fact.response_id, fact.time)
                reply.told, reply.conversation_id = True, fact.conversation_id
            case facts.ReplyOutput():
                self._reply(fact.response_id, fact.time).output_at = fact.time
            case facts.ReplyEnded():
                reply = self._reply(fact.response_id, fact.time)
                reply.ended, reply.status = fact.time, fact.status
                reply.reason, reply.usage = fact.reason, fact.usage
            case facts.TurnEnded():
                self._turn_ended(fact)
            case facts.LatencyMeasured():
                self._latency(fact)
            case facts.ToolBegan() | facts.ToolEnded():
                self._tool(fact)
            case facts.Happened():
                self._happened(fact)
            case facts.StatsTick():
                self._delay = fact.stats.playout.jitter_buffer_target_delay + fact.latency
                self._look(fact.time)
            case facts.CallOver():
                self._over(fact)

    # -- the user ---------------------------------------------------------------------------------

    def _user_began(self, fact: facts.SpeechBegan) -> None:
        turn = self._turns.of("user", fact.id) or TalkTurn(began=fact.time, spoken=True)
        self._end_speech(fact.id, fact.time)  # told twice
        span = self._tracing.begin(names.USER_SPEECH, fact.time, turn=turn)
        self._speeches[fact.id] = span, turn
        self._roots.setdefault(turn, fact.time)
        if len(self._speeches) > MOST_OPEN:
            self._end_speech(next(iter(self._speeches)), fact.time)

    def _user_ended(self, fact: facts.SpeechEnded) -> None:
        if not self._said:
            self._end_speech(fact.id, fact.time)
        elif (speech := self._speeches.get(fact.id)) is not None:  # its words are to come
            self._roots[speech[1]] = fact.time
            self._heard_speeches[fact.id] = speech[0], fact.time

    def _end_speech(self, item_id: str, at: float) -> None:
        if (speech := self._speeches.pop(item_id, None)) is not None:
            span, turn = speech
            _, at = self._heard_speeches.pop(item_id, (span, at))
            self._tracing.end(span, at)
            self._roots[turn] = max(at, self._roots.get(turn, 0.0))

    def _end_speeches(self, at: float) -> None:
        for item_id in list(self._speeches):
            self._end_speech(item_id, at)

    # -- the assistant ----------------------------------------------------------------------------

    def _reply(self, response_id: str, at: float) -> Reply:
        """Return what is known of a response; one that is unknown begins now."""
        if (reply := self._replies.get(response_id)) is None:
            turn = self._turns.of("reply", response_id) or TalkTurn(began=at)
            reply = Reply(turn, response_id, at, self._tracing.ids.now())
            self._replies[response_id] = reply
            self._tracing.root(turn)
            self._roots.setdefault(turn, at)
            if len(self._replies) > MOST_OPEN:
                del self._replies[next(iter(self._replies))]
        return reply

    def _end_namesake(self, response_id: str, at: float, *, speaks: bool) -> None:
        """Tell all of an earlier response that is called the same: some servers name none."""
        reply = self._replies.get(response_id)
        if reply is not None and (reply.speech_ended if speaks else reply.ended) is not None:
            self._tell_all(reply, at)
            del self._replies[response_id]

    def _turn_ended(self, fact: facts.TurnEnded) -> None:
        turn = fact.turn
        if turn.role == "assistant":
            if (reply := self._replies.get(turn.response_id)) is not None:
                reply.turns[turn.id] = turn
        elif (
            speech := self._speeches.get(turn.id)
        ) is not None and turn.id in self._heard_speeches:
            if self._said and turn.text:
                speech[0].set_attribute(names.INPUT_MESSAGES, message("user", turn.text))
            self._end_speech(turn.id, fact.time)

    def _latency(self, fact: facts.LatencyMeasured) -> None:
        latency = fact.latency
        if (reply := self._replies.get(latency.response_id)) is not None:
            reply.heard_at = latency.heard_at
            if reply.turn in self._roots:
                root = self._tracing.root(reply.turn)
                root.set_attribute(names.LATENCY, latency.seconds)
                root.set_attribute(names.LATENCY_DETECTION, latency.detection)
                root.set_attribute(names.LATENCY_RESPONSE, latency.response)

    def _tell_inference(self, reply: Reply, ended: float) -> None:
        told = {**self._connect.server, **reply.inference(said=self._said)}
        if self._said and self._connect.instructions:
            told[names.INSTRUCTIONS] = self._connect.instructions
        model = told.get(names.REQUEST_MODEL, "")
        span = self._tracing.begin(
            f"{names.INFERENCE} {model}".rstrip(),
            reply.began,
            {names.OPERATION: names.INFERENCE, **told},
            turn=reply.turn,
            kind=SpanKind.CLIENT,
        )
        if reply.output_at is not None:
            span.add_event(names.FIRST_OUTPUT, None, self._tracing.nanos(reply.output_at))
        if names.ERROR_TYPE in told:
            span.set_status(Status(StatusCode.ERROR))
        self._tracing.end(span, ended)
        reply.inferred = True
        self._roots[reply.turn] = max(ended, self._roots.get(reply.turn, 0.0))

    def _tell_speech(self, reply: Reply, ended: float) -> None:
        assert reply.speech_began is not None
        began = reply.heard_at or reply.speech_began + self._delay
        ended = max(began, ended if reply.cut else ended + self._delay)
        told = reply.speech(ended - began, said=self._said)
        span = self._tracing.begin(names.ASSISTANT_SPEECH, began, told, turn=reply.turn)
        self._tracing.end(span, ended)
        reply.spoken = True
        self._roots[reply.turn] = max(ended, self._roots.get(reply.turn, 0.0))

    # -- tools, and another connection ------------------------------------------------------------

    def _tool(self, fact: facts.ToolBegan | facts.ToolEnded) -> None:
        if isinstance(fact, facts.ToolBegan):
            running = self._tools.get(fact.call_id)
            if running is not None and self._said:
                running.span.set_attribute(names.TOOL_ARGUMENTS, arguments(fact.arguments))
            return
        tool = self._tools.pop(fact.call_id)
        if tool is None:  # it could not begin
            turn = self._turns.of("tool", fact.call_id) or next(reversed(self._roots), None)
            turn = turn or TalkTurn(began=fact.time)
            span = self._tools.begin(fact.name, fact.call_id, turn, fact.time, known=False)
        else:
            span, turn = tool.span, tool.turn
        if fact.failure:
            span.set_attribute(names.ERROR_TYPE, text(fact.failure, 64))
            span.set_status(Status(StatusCode.ERROR))
        if self._said and fact.output:
            span.set_attribute(names.TOOL_RESULT, content(fact.output))
        self._tracing.end(span, fact.time)
        self._roots[turn] = max(fact.time, self._roots.get(turn, 0.0))

    def _happened(self, fact: facts.Happened) -> None:
        if fact.type == Reconnecting.type:
            began, reason = self._leg_ended if self._loss is None else self._loss[:2]
            told = str(fact.fields.get("reason") or reason)
            self._loss = began or fact.time, told, int(fact.fields.get("attempt") or 1)
        elif fact.type == Reconnected.type:
            fields, renewed = fact.fields, bool(fact.fields.get("renewed"))
            if renewed or self._loss is None:
                self._loss = fact.time, "renewal" if renewed else "", 1
            told_of: Attributes = {
                names.REPLAYED: int(fields.get("replayed") or 0),
                names.DROPPED: int(fields.get("dropped") or 0),
                names.GAP_MS: round(float(fields.get("gap") or 0.0) * 1000),
            }
            self._tell_reconnect(fact.time, "renewed" if renewed else "success", told_of)

    def _tell_reconnect(self, at: float, result: str, told: Attributes) -> None:
        assert self._loss is not None
        began, reason, attempts = self._loss
        self._loss = None
        told |= {names.REASON: text(reason), names.ATTEMPTS: attempts, names.RESULT: result}
        span = self._tracing.begin(names.RECONNECT, min(began, at), told, kind=SpanKind.CLIENT)
        if result == "failure":
            span.set_attribute(names.ERROR_TYPE, "not_reconnected")
            span.set_status(Status(StatusCode.ERROR))
        self._tracing.end(span, at)

    # -- what is due ------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """Tell what is known by now, and end the turns that are over."""
        for response_id, reply in list(self._replies.items()):
            self._tell_reply(reply, now)
            heard = reply.spoken or reply.speech_began is None
            made = reply.inferred or not reply.told
            since = reply.ended or reply.speech_ended or now
            if made and heard and now - since >= QUIET:
                del self._replies[response_id]  # until then its speech may begin
        for item_id, (_, silent) in list(self._heard_speeches.items()):
            if now - silent >= ANSWER_TIMEOUT:
                self._end_speech(item_id, silent)
        open_turns = {reply.turn for reply in self._replies.values()} | self._tools.turns()
        open_turns |= {turn for _, turn in self._speeches.values()}
        for turn, last in list(self._roots.items()):
            waits = not turn.replies or turn.awaits_follow_up
            if turn not in open_turns and now - last >= (ANSWER_TIMEOUT if waits else QUIET):
                self._end_root(turn, last)

    def _tell_reply(self, reply: Reply, now: float) -> None:
        """Tell of a response what is known by now."""
        ended, silent = reply.ended, reply.speech_ended
        due = ended is not None and (reply.is_known(now, ended) or not self._said)
        if due and ended is not None and not reply.inferred:
            self._tell_inference(reply, ended)
        if silent is None or reply.speech_began is None or reply.spoken:
            return
        if reply.is_known(now, silent):
            self._tell_speech(reply, silent)

    def _end_root(self, turn: TalkTurn, at: float) -> None:
        del self._roots[turn]
        self._tracing.end(self._tracing.root(turn), at)

    def _tell_all(self, reply: Reply, at: float) -> None:
        """Tell what is left to tell of a response of which no more will be known."""
        if not reply.inferred and (reply.told or reply.ended is not None):
            reply.status = reply.status or "cancelled"
            reply.reason = reply.reason or "call_ended"
            self._tell_inference(reply, reply.ended or at)
        if reply.speech_began is not None and not reply.spoken:
            reply.cut = reply.cut or reply.speech_ended is None
            self._tell_speech(reply, reply.speech_ended or at)

    def _over(self, fact: facts.CallOver) -> None:
        """End everything: a call may end at any moment, also before it is ready."""
        self._connect.over(fact)
        self._end_speeches(fact.time)
        for reply in self._replies.values():
            self._tell_all(reply, fact.time)
        self._replies.clear()
        for tool in self._tools.take_all():
            tool.span.set_attribute(names.ERROR_TYPE, "cancelled")
            self._tracing.end(tool.span, fact.time)
            self._roots[tool.turn] = fact.time
        if self._loss is not None:
            self._tell_reconnect(fact.time, "failure", {})
        for turn, last in list(self._roots.items()):
            self._end_root(turn, last)
