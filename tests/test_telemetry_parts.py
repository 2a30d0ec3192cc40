"""Telemetry from facts made by hand: names, turns, what is left out, and what an enemy tells."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rtcvoice.call import facts
from rtcvoice.conversation.accounts.usage import CallUsage, TokenCounts, TranscriptionTotal
from rtcvoice.conversation.state.function_calls import CalledFunction
from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import CallEnded
from rtcvoice.events import (
    InputTokenDetails,
    OutputTokenDetails,
    Reconnected,
    Reconnecting,
    Usage,
)
from rtcvoice.stats import CallStats, PlayoutStats
from rtcvoice.telemetry import attributes, names
from rtcvoice.telemetry.listener import TelemetryListener
from rtcvoice.telemetry.metrics import Instruments, LinkMetrics
from rtcvoice.telemetry.options import Telemetry
from rtcvoice.telemetry.tracing import SPANS_AT_ONCE, Tracing

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"
USAGE = Usage(
    input_tokens=50,
    output_tokens=30,
    input_token_details=InputTokenDetails(text_tokens=50),
    output_token_details=OutputTokenDetails(text_tokens=10, audio_tokens=20),
)


class Call:
    """Tells facts of a call by hand; `now` in seconds."""

    def __init__(self, **given: Any) -> None:
        self._spans = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.now = 100.0
        self.listener = TelemetryListener(
            Telemetry(tracer_provider=tracers, meter_provider=meters, **given),
            clock=lambda: self.now,
        )
        self._meters = meters
        options = {"model": "m", "base_url": "https://api.openai.com/v1"}
        self.tell(facts.CallStarted, unix_time=0.0, options=options)
        self.tell(facts.LegUp, leg_id="rtc_1", route="udp", via="direct")
        self.tell(facts.CallReady, timings={"total": 0.1})

    def tell(self, kind: type[facts.Fact], **fields: Any) -> None:
        fact = kind(time=self.now, **fields)
        self.listener.see(fact)
        self.listener.take([fact], 0)

    def user_speaks(self, item: str, seconds: float = 1.0) -> None:
        self.tell(facts.SpeechBegan, side="user", id=item)
        self.now += seconds
        self.tell(facts.SpeechEnded, side="user", id=item)

    def reply(self, response: str, *, status: str = "completed", reason: str = "") -> None:
        self.tell(facts.ReplyBegan, response_id=response)
        self.now += 0.5
        self.tell(facts.ReplyEnded, response_id=response, status=status, usage=USAGE, reason=reason)

    def speech(self, response: str, seconds: float, *, heard_ms: int | None = None) -> None:
        self.tell(facts.SpeechBegan, side="assistant", id=response)
        self.now += seconds
        cut = heard_ms is not None
        self.tell(facts.SpeechEnded, side="assistant", id=response, cut=cut)
        self.tell(facts.TurnEnded, turn=said(response, heard_ms=heard_ms))

    def tool(self, name: str, response: str, *, seconds: float = 0.2) -> None:
        call_id = f"call_{name}"
        called = CalledFunction(
            item_id="i", call_id=call_id, name=name, arguments="{}", response_id=response
        )
        assert self.listener.tool_began(called, name) is not None
        self.tell(facts.ToolBegan, call_id=call_id, name=name, arguments={})
        self.now += seconds
        self.tell(facts.ToolEnded, call_id=call_id, name=name, output="done", seconds=seconds)

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            self.tick(CallStats())

    def tick(self, stats: CallStats, cost: float = 0.0) -> None:
        self.tell(facts.StatsTick, stats=stats, usage=used(cost), latency=0.0)

    def end(self) -> None:
        self.tell(facts.CallOver, reason=CallEnded("hung up", normal=True), usage=used(0.0))

    @property
    def spans(self) -> list[Any]:
        return list(self._spans.get_finished_spans())

    def below(self, name: str) -> list[list[str]]:
        """Return the names below each span of a name, in the order of their beginnings."""
        parents = sorted((s for s in self.spans if s.name == name), key=lambda s: s.start_time)
        children = sorted((s for s in self.spans if s.parent), key=lambda s: s.start_time)
        return [
            [s.name for s in children if s.parent.span_id == parent.context.span_id]
            for parent in parents
        ]

    def one(self, name: str) -> Any:
        (span,) = (span for span in self.spans if span.name == name)
        return span

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def said(response: str, *, text: str = "Well.", heard_ms: int | None = None) -> Turn:
    return Turn(
        id=f"item_{response}",
        role="assistant",
        text=text,
        status=Status.COMPLETED,
        final=True,
        spoken=True,
        phase=None,
        heard_ms=heard_ms,
        heard_text=text[:4],
        reason="",
        response_id=response,
        began=0.0,
    )


def used(cost: float) -> CallUsage:
    return CallUsage(
        model="m",
        tokens=TokenCounts(),
        responses=(),
        transcription=TranscriptionTotal(),
        cost=cost,
        known_cost=cost,
    )


def test_the_names_are_these() -> None:
    """The conventions change: a name that changes here changes what dashboards of users show."""
    assert names.SPANS == (
        "rtcvoice.connect",
        "rtcvoice.turn",
        "rtcvoice.reconnect",
        "user_speech",
        "assistant_speech",
        "realtime_inference",
        "execute_tool",
    )
    assert {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and name not in names.SPANS
    } == {
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        "assistant_speech",
        "error.type",
        "execute_tool",
        "gen_ai.conversation.id",
        "gen_ai.execute_tool.duration",
        "gen_ai.input.messages",
        "gen_ai.operation.name",
        "gen_ai.output.messages",
        "gen_ai.output.type",
        "gen_ai.provider.name",
        "gen_ai.realtime_session.id",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.system_instructions",
        "gen_ai.token.type",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.id",
        "gen_ai.tool.call.result",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "http.response.status_code",
        "realtime_inference",
        "rtcvoice",
        "rtcvoice.audio.concealed",
        "rtcvoice.call.id",
        "rtcvoice.calls.active",
        "rtcvoice.connect",
        "rtcvoice.connect.duration",
        "rtcvoice.connect.seconds",
        "rtcvoice.connect.stage",
        "rtcvoice.cost",
        "rtcvoice.direction",
        "rtcvoice.first_output",
        "rtcvoice.generated_ms",
        "rtcvoice.emulator.calls",
        "rtcvoice.emulator.calls.active",
        "rtcvoice.heard_ms",
        "rtcvoice.interrupted",
        "rtcvoice.interruption.by",
        "rtcvoice.interruptions",
        "rtcvoice.network.candidate_pair",
        "rtcvoice.network.round_trip",
        "rtcvoice.network.route",
        "rtcvoice.network.via",
        "rtcvoice.packets.lost",
        "rtcvoice.packets.received",
        "rtcvoice.playout.delay",
        "rtcvoice.reconnect",
        "rtcvoice.reconnect.attempts",
        "rtcvoice.reconnect.gap_ms",
        "rtcvoice.reconnect.items_dropped",
        "rtcvoice.reconnect.items_replayed",
        "rtcvoice.reconnect.reason",
        "rtcvoice.reconnect.result",
        "rtcvoice.reconnects",
        "rtcvoice.token_server.requests",
        "rtcvoice.turn",
        "rtcvoice.turn.latency",
        "rtcvoice.turn.latency.detection",
        "rtcvoice.turn.latency.response",
        "server.address",
        "server.port",
        "user_speech",
    }
    assert names.chosen(None) == names.chosen("http") == names.STABLE_SO_FAR
    assert names.chosen("http, gen_ai_latest_experimental") == names.LATEST
    assert names.STABLE_SO_FAR[:3] == (
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
    )
    assert names.LATEST == (
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
    )


def test_the_opt_in_chooses_the_names_of_the_metrics(monkeypatch) -> None:
    monkeypatch.setenv(names.OPT_IN, "gen_ai_latest_experimental")
    call = Call()
    call.reply("resp_1")
    call.end()
    assert [p.sum for p in call.points("gen_ai.client.inference.usage.input_tokens")] == [50]
    assert [p.sum for p in call.points("gen_ai.client.inference.usage.output_tokens")] == [30]
    assert [p.count for p in call.points("gen_ai.client.inference.duration")] == [1]
    assert not call.points("gen_ai.client.token.usage")


def test_a_turn_goes_on_through_its_tools_and_ends_when_all_is_quiet() -> None:
    call = Call()
    call.user_speaks("item_1")
    call.reply("resp_1")
    call.tool("look", "resp_1")
    call.reply("resp_2")
    call.speech("resp_2", 2.0)
    ended = call.now
    call.seconds(1)
    assert not [span for span in call.spans if span.name == "rtcvoice.turn"]
    call.seconds(3)
    expected = [
        "user_speech",
        "realtime_inference m",
        "execute_tool look",
        "realtime_inference m",
        "assistant_speech",
    ]
    assert call.below("rtcvoice.turn") == [expected]
    turn, speech = call.one("rtcvoice.turn"), call.one("assistant_speech")
    assert turn.end_time == speech.end_time
    assert (turn.end_time - turn.start_time) / 1e9 == pytest.approx(ended - 100.0, abs=0.01)
    assert speech.attributes["rtcvoice.heard_ms"] == 2000
    assert speech.attributes["rtcvoice.generated_ms"] == 1000


def test_a_tool_in_the_background_and_both_its_answers_are_one_turn() -> None:
    call = Call()
    call.reply("resp_1")
    called = CalledFunction(
        item_id="i", call_id="c", name="look", arguments="{}", response_id="resp_1"
    )
    call.listener.tool_began(called, "look")
    call.now += 0.1
    call.reply("resp_2")  # to the word that it runs
    call.seconds(30)
    call.tell(facts.ToolEnded, call_id="c", name="look", output="done", seconds=30.0)
    call.reply("resp_3")  # to what it found
    call.seconds(4)
    inference = "realtime_inference m"
    (below,) = call.below("rtcvoice.turn")
    assert below == [inference, "execute_tool look", inference, inference]


def test_another_turn_begins_with_words_over_the_answer_or_an_answer_to_nothing_spoken() -> None:
    call = Call()
    call.user_speaks("item_1", 0.5)
    call.user_speaks("item_2", 0.5)  # a pause, and no answer yet: the same turn
    call.reply("resp_1")
    call.tell(facts.SpeechBegan, side="assistant", id="resp_1")
    call.now += 1
    call.tell(facts.SpeechBegan, side="user", id="item_3")
    call.tell(facts.SpeechEnded, side="assistant", id="resp_1", cut=True)
    call.tell(facts.TurnEnded, turn=said("resp_1", heard_ms=900))
    call.now += 1
    call.tell(facts.SpeechEnded, side="user", id="item_3")
    call.reply("resp_2")
    call.seconds(3)
    call.reply("resp_3")  # to what was written
    call.seconds(3)
    call.end()
    inference = "realtime_inference m"
    assert call.below("rtcvoice.turn") == [
        ["user_speech", "user_speech", inference, "assistant_speech"],
        ["user_speech", inference],
        [inference],
    ]
    cut = call.one("assistant_speech")
    assert cut.attributes["rtcvoice.heard_ms"] == 900
    (counted,) = call.points("rtcvoice.interruptions")
    assert dict(counted.attributes) == {"rtcvoice.interruption.by": "user"}
    assert counted.value == 1


def test_an_answer_that_was_heard_to_its_end_is_not_interrupted_later() -> None:
    call = Call()
    call.reply("resp_1")
    call.speech("resp_1", 1.0)
    call.tell(facts.SpeechEnded, side="assistant", id="resp_1", cut=True)
    call.seconds(3)
    assert call.one("assistant_speech").attributes["rtcvoice.interrupted"] is False
    assert not call.points("rtcvoice.interruptions")


def test_a_server_that_names_no_responses_is_followed_too() -> None:
    call = Call()
    for _ in range(2):
        call.tell(facts.SpeechBegan, side="assistant", id="")
        call.now += 1
        call.tell(facts.SpeechEnded, side="assistant", id="")
    call.seconds(15)
    assert [span.name for span in call.spans].count("assistant_speech") == 2
    for _ in range(2):
        call.reply("")
    call.seconds(15)
    assert [span.name for span in call.spans].count("realtime_inference m") == 2
    call.end()
    assert len([span for span in call.spans if span.name != "rtcvoice.turn"]) == 5


def test_what_the_user_said_stands_where_it_was_heard() -> None:
    call = Call(content=True)
    call.user_speaks("item_1")
    ended = call.now
    call.seconds(1)
    words = replace(said(""), id="item_1", role="user", text="How warm is it?")
    call.tell(facts.TurnEnded, turn=words)
    speech = call.one("user_speech")
    assert (speech.end_time - speech.start_time) / 1e9 == pytest.approx(ended - 100, abs=0.01)
    (told,) = json.loads(speech.attributes["gen_ai.input.messages"])
    assert told["parts"][0]["content"] == "How warm is it?"
    call.user_speaks("item_2")  # whose words never come
    call.seconds(12)
    assert [span.name for span in call.spans].count("user_speech") == 2


def test_of_a_websocket_the_id_is_known_from_its_first_event() -> None:
    call = Call()
    call.tell(facts.LegUp, leg_id="", route="websocket", via="direct")
    call.tell(facts.EventReceived, leg_id="", text="{}")
    call.tell(facts.EventReceived, leg_id="other", text="{}", in_use=False)
    call.tell(facts.EventReceived, leg_id="sess_2", text="{}")
    call.reply("resp_1")
    call.end()
    assert call.one("realtime_inference m").attributes["rtcvoice.call.id"] == "sess_2"


def test_a_response_says_how_it_ended() -> None:
    call = Call()
    for n, (status, reason) in enumerate(
        [
            ("completed", ""),
            ("incomplete", "max_output_tokens"),
            ("incomplete", "content_filter"),
            ("failed", "server_error"),
            ("cancelled", "turn_detected"),
            ("cancelled", ""),
        ]
    ):
        call.reply(f"resp_{n}", status=status, reason=reason)
        call.seconds(3)
    spans = sorted(
        (s for s in call.spans if s.name.startswith("realtime")), key=lambda s: s.start_time
    )
    ends = [s.attributes["gen_ai.response.finish_reasons"][0] for s in spans]
    assert ends == ["stop", "length", "content_filter", "error", "turn_detected", "error"]
    failed = spans[3]
    assert failed.attributes["error.type"] == "server_error"
    assert failed.status.status_code.name == "ERROR"


def test_a_call_that_dies_in_the_middle_of_everything_ends_its_spans() -> None:
    call = Call()
    call.tell(facts.SpeechBegan, side="user", id="item_1")
    call.tell(facts.ReplyBegan, response_id="resp_1")
    call.tell(facts.SpeechBegan, side="assistant", id="resp_1")
    called = CalledFunction(
        item_id="i", call_id="c", name="look", arguments="", response_id="resp_1"
    )
    call.listener.tool_began(called, "look")
    call.tell(facts.LegEnded, leg_id="rtc_1", reason="gone")
    call.tell(facts.Happened, type=Reconnecting.type, fields={"reason": "gone", "attempt": 3})
    call.now += 5
    call.end()
    assert sorted(span.name for span in call.spans) == [
        "assistant_speech",
        "execute_tool look",
        "realtime_inference m",
        "rtcvoice.connect",
        "rtcvoice.reconnect",
        "rtcvoice.turn",
        "user_speech",
    ]
    lost = call.one("rtcvoice.reconnect")
    assert lost.attributes["rtcvoice.reconnect.result"] == "failure"
    (counted,) = call.points("rtcvoice.reconnects")
    assert counted.attributes["rtcvoice.reconnect.result"] == "failure"


def test_a_renewal_is_no_loss() -> None:
    call = Call()
    call.tell(facts.LegEnded, leg_id="rtc_1", reason="another one took its place")
    call.tell(facts.LegUp, leg_id="rtc_2", route="udp", via="direct")
    fields = {"gap": 0.0, "replayed": 4, "dropped": 1, "renewed": True}
    call.tell(facts.Happened, type=Reconnected.type, fields=fields)
    call.end()
    span = call.one("rtcvoice.reconnect")
    assert span.attributes["rtcvoice.reconnect.result"] == "renewed"
    assert span.attributes["rtcvoice.reconnect.items_dropped"] == 1
    (counted,) = call.points("rtcvoice.reconnects")
    assert counted.attributes["rtcvoice.reconnect.reason"] == "renewal"


def test_facts_whose_beginning_was_dropped_do_no_harm(caplog) -> None:
    call = Call()
    call.listener.take([], 7)
    call.listener.take([], 1)
    call.tell(facts.ReplyEnded, response_id="resp_9", status="completed", usage=None)
    call.tell(facts.ReplyOutput, response_id="resp_8")
    call.tell(facts.SpeechEnded, side="assistant", id="resp_7", cut=True)
    call.tell(facts.SpeechEnded, side="user", id="item_7")
    call.tell(facts.ToolEnded, call_id="c", name="look", output="")
    call.seconds(20)
    call.end()
    assert caplog.text.count("telemetry is too slow") == 1
    assert "telemetry failed" not in caplog.text


def test_what_a_server_names_is_cleaned_and_bounded() -> None:
    call = Call(content=True)
    odd = "\x1b[31m" + "x" * 100_000
    call.tell(facts.SessionKnown, session_id=odd, model=odd)
    call.tell(facts.ReplyBegan, response_id=odd, conversation_id=odd)
    call.tell(facts.ReplyEnded, response_id=odd, status="failed", usage=None, reason=odd)
    turn = replace(said(odd), text=f"{KEY} \x07" + "\ud800" * 100_000)
    call.tell(facts.TurnEnded, turn=turn)
    call.tell(facts.ToolEnded, call_id=odd, name=odd, output=odd, failure="unknown_name")
    call.end()
    for span in call.spans:
        for name, value in span.attributes.items():
            shown = value if isinstance(value, str) else json.dumps(value)
            assert len(shown) < 20_000, name
            assert shown.isprintable(), name
            assert KEY not in shown
    tool = call.one("execute_tool")  # made up by the model: not in the span's name
    assert tool.attributes["error.type"] == "unknown_name"
    assert not call.points("gen_ai.execute_tool.duration")


def test_a_server_that_begins_things_without_end_begins_only_so_many_spans(caplog) -> None:
    call = Call()
    for n in range(3 * SPANS_AT_ONCE):
        call.tell(facts.SpeechBegan, side="user", id=f"item_{n}")
        call.tell(facts.ReplyBegan, response_id=f"resp_{n}")
    call.end()
    assert SPANS_AT_ONCE - 10 <= len(call.spans) <= SPANS_AT_ONCE + 10
    assert caplog.text.count("too many spans") == 1


def test_figures_are_told_by_what_is_new_in_each_second() -> None:
    call = Call()
    first = CallStats(
        playout=PlayoutStats(
            packets_received=50,
            packets_lost=2,
            jitter_buffer_emitted_count=900,
            concealed_samples=100,
            jitter_buffer_target_delay=0.04,
        ),
        round_trip_time=0.05,
    )
    second = replace(
        first, playout=replace(first.playout, packets_received=90, jitter_buffer_emitted_count=1900)
    )
    call.tick(first, 0.01)
    call.tick(second, 0.03)
    call.tick(second, 0.03)
    assert [p.value for p in call.points("rtcvoice.packets.lost")] == [2]
    assert [p.value for p in call.points("rtcvoice.packets.received")] == [90]
    (concealed,) = call.points("rtcvoice.audio.concealed")
    assert (concealed.count, concealed.max, concealed.min) == (2, 0.1, 0.0)
    assert [p.value for p in call.points("rtcvoice.cost")] == [pytest.approx(0.03)]
    assert [p.max for p in call.points("rtcvoice.network.round_trip")] == [0.05]
    assert [p.max for p in call.points("rtcvoice.playout.delay")] == [0.04]


def test_whose_server_it_is() -> None:
    def of(url: object) -> list[object]:
        told = attributes.server_of(url)
        return [told.get(n) for n in (names.PROVIDER, names.SERVER_ADDRESS, names.SERVER_PORT)]

    assert of("https://api.openai.com/v1") == ["openai", "api.openai.com", 443]
    assert of("https://me.openai.azure.com/openai/v1")[0] == "azure.ai.openai"
    assert of("http://127.0.0.1:8080/v1") == ["openai", "127.0.0.1", 8080]
    assert of("https://user:secret@[::1]:x/") == ["openai", None, None]
    assert of(None) == ["openai", None, None]


def test_a_provider_that_raises_is_complained_of_once(caplog) -> None:
    class Broken:
        def get_tracer(self, *args: object) -> Any:
            return self

        def start_span(self, *args: object, **options: object) -> Any:
            raise RuntimeError("no room")

    listener = TelemetryListener(Telemetry(tracer_provider=Broken()))  # type: ignore[arg-type]
    for n in range(3):
        fact = facts.SpeechBegan(time=float(n), side="user", id=str(n))
        listener.see(fact)
        listener.take([fact], 0)
    called = CalledFunction(item_id="i", call_id="c", name="f", arguments="", response_id="")
    assert listener.tool_began(called, "f") is None
    assert caplog.text.count("telemetry failed") == 1


def test_spans_are_at_the_time_of_their_facts() -> None:
    tracing = Tracing(TracerProvider(shutdown_on_exit=False), context.get_current())
    span = tracing.begin("a", 12.5)
    tracing.end(span, 13.0)
    assert span.end_time - span.start_time == 500_000_000


def test_a_second_without_packets_says_nothing_of_concealment() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    link = LinkMetrics(Instruments(meters.get_meter("test"), names.STABLE_SO_FAR))
    link.record(CallStats(), 0.0, {})
    assert reader.get_metrics_data() is None
