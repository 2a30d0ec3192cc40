"""Telemetry of whole calls over loopback, as a program's own exporters get it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from live import BentEmulator, Ear, again_if_late, calling, eventually
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import rtcvoice
from rtcvoice import ConfigError, Telemetry
from rtcvoice.emulator import Turn
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.telemetry import options

pytestmark = pytest.mark.usefixtures("no_stray_errors")

Tree = dict[str, Any]


class Kept:
    """A program's providers, and what they were told."""

    def __init__(self, *exporters: SpanExporter) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        for exporter in exporters:
            self.tracers.add_span_processor(BatchSpanProcessor(exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    def telemetry(self, **given: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.tracers, meter_provider=self.meters, **given)

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self._spans.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, beginning: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(beginning)]

    def tree(self, parent: int | None = None) -> list[Any]:
        """Return the names of spans, each with those below it."""
        below: list[Any] = []
        for span in self.spans:
            if (span.parent.span_id if span.parent else None) == parent:
                inner = self.tree(span.context.span_id)
                below.append({span.name: inner} if inner else span.name)
        return below

    def points(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """Return each metric's labels and values."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: [
                (dict(point.attributes), getattr(point, "value", getattr(point, "count", None)))
                for point in metric.data.data_points
            ]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A receiver of OTLP over HTTP: its address, and the requests that came."""
    requests: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", requests
    server.shutdown()
    thread.join()
    server.server_close()


class Cue:
    """A source that says a clip when it is told to."""

    def __init__(self, name: str) -> None:
        self._clip = PromptVoice().clip(name).samples
        self.given = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        await self.given.wait()
        yield self._clip.tobytes()


@again_if_late
async def test_a_call_with_all_that_happens_in_calls_is_told_as_a_tree(receiver) -> None:
    address, requests = receiver
    requests.clear()
    kept = Kept(OTLPSpanExporter(address))
    try:
        await _all_that_happens(kept, requests)
    finally:
        await asyncio.to_thread(kept.tracers.shutdown)


async def _all_that_happens(kept: Kept, requests: list[ExportTraceServiceRequest]) -> None:
    async def weather(city: str) -> str:
        """Tell the weather."""
        with kept.tracers.get_tracer("http client").start_as_current_span("GET"):
            return f"21 degrees in {city}"

    script = [
        Turn(calls=({"weather": {"city": "Ulm"}},), then=Turn(says="jitter-buffer")),
        Turn(says="lost-packet"),
    ]
    cue = Cue("stop")
    again = rtcvoice.Reconnect(on_server_close=True)
    async with (
        BentEmulator(script=script) as server,
        calling(
            server,
            telemetry=kept.telemetry(),
            tools=[weather],
            source=rtcvoice.PcmSource(cue.chunks()),
            sink=Ear(),
            reconnect=again,
        ) as call,
    ):
        await call.send("How warm is it in Ulm?")
        await call.wait_for("output_audio_buffer.started", timeout=15)
        cue.given.set()  # over the answer
        await call.wait_for("output_audio_buffer.cleared", timeout=15)
        await call.wait_for("output_audio_buffer.started", timeout=15)
        await eventually(lambda: call.latency)  # it is heard
        first = call.id
        await asyncio.gather(*(each.peer.aclose() for each in list(server.calls.values())))
        await call.wait_for("rtcvoice.reconnected", timeout=15)
        await eventually(lambda: call.legs[-1].id)
        second = call.id
    model = "gpt-realtime-2.1"
    inference = f"realtime_inference {model}"
    assert kept.tree() == [
        "rtcvoice.connect",
        {
            "rtcvoice.turn": [
                inference,
                {"execute_tool weather": ["GET"]},
                inference,
                "assistant_speech",
            ]
        },
        {"rtcvoice.turn": ["user_speech", inference, "assistant_speech"]},
        "rtcvoice.reconnect",
    ]
    (connect,) = kept.named("rtcvoice.connect")
    assert {"token", "offer", "answer", "ice", "dtls", "channel", "session"} <= {
        event.name for event in connect.events
    }
    assert connect.attributes["server.address"] == "127.0.0.1"
    assert connect.attributes["rtcvoice.network.route"] == "udp"
    cut, cut_too = kept.named("assistant_speech")
    assert cut.attributes["rtcvoice.interrupted"] is True
    assert 0 < cut.attributes["rtcvoice.heard_ms"] < cut.attributes["rtcvoice.generated_ms"]
    assert cut_too.attributes["rtcvoice.interrupted"] is True  # its connection was lost
    asks, _says, answers = kept.named("realtime_inference")
    assert asks.kind is trace.SpanKind.CLIENT
    assert asks.attributes["gen_ai.usage.input_tokens"] > 0
    assert [event.name for event in asks.events] == ["rtcvoice.first_output"]
    assert asks.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    (again_span,) = kept.named("rtcvoice.reconnect")
    assert again_span.attributes["rtcvoice.reconnect.result"] == "success"
    assert again_span.attributes["rtcvoice.reconnect.items_replayed"] > 0
    ours = [span for span in kept.spans if span.name != "GET"]
    assert {span.attributes.get("rtcvoice.call.id", span.name) for span in ours} == {first, second}
    assert answers.attributes["rtcvoice.call.id"] == first
    assert len({span.attributes["gen_ai.realtime_session.id"] for span in ours}) == 2
    assert all("messages" not in name for span in ours for name in span.attributes)

    points = kept.points()
    assert points["rtcvoice.calls.active"] == [({}, 0)]
    assert points["rtcvoice.interruptions"][0][0] == {"rtcvoice.interruption.by": "user"}
    assert [count for _, count in points["rtcvoice.turn.latency"]] == [1]
    assert points["rtcvoice.cost"][0][1] > 0
    assert points["gen_ai.client.operation.duration"][0][1] == 3
    assert not {first, second} & {
        label for told in points.values() for labels, _ in told for label in labels.values()
    }

    await asyncio.to_thread(kept.tracers.force_flush)
    sent = [
        span.name
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert sorted(sent) == sorted(span.name for span in kept.spans)


async def test_where_a_span_is_current_all_is_below_it_and_stays_there() -> None:
    kept = Kept()
    tracer = kept.tracers.get_tracer("a program")
    async with BentEmulator(audio="instant") as server:
        with tracer.start_as_current_span("request") as request:
            async with calling(server, telemetry=kept.telemetry()) as call:
                await (await call.ask("Hello!")).text()
            assert trace.get_current_span() is request
    assert {span.context.trace_id for span in kept.spans} == {request.get_span_context().trace_id}
    (connect,) = kept.named("rtcvoice.connect")
    assert connect.parent.span_id == request.get_span_context().span_id


async def test_a_plain_tool_runs_inside_its_span_in_its_thread() -> None:
    kept = Kept()
    seen: list[object] = []

    def look() -> str:
        """Look."""
        seen.append(trace.get_current_span())
        return "seen"

    script = [Turn(calls=({"look": {}},), then=Turn(says="reply-1"))]
    async with (
        BentEmulator(script=script, audio="instant") as server,
        calling(server, telemetry=kept.telemetry(), tools=[look]) as call,
    ):
        await (await call.ask("Look!")).text()
        assert trace.get_current_span() is trace.INVALID_SPAN
    (tool,) = kept.named("execute_tool look")
    assert [span.get_span_context().span_id for span in seen] == [tool.context.span_id]


async def test_what_was_said_is_told_where_it_is_asked_for(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    kept = Kept()

    async def weather(city: str) -> str:
        """Tell the weather."""
        return "sk-proj-abcdefghijklmnopqrstuvwxyz"

    script = [Turn(calls=({"weather": {"city": "Ulm"}},), then=Turn(says="reply-1"))]
    async with (
        BentEmulator(script=script, audio="instant") as server,
        calling(
            server, telemetry=kept.telemetry(), tools=[weather], instructions="Be brief."
        ) as call,
    ):
        words = await (await call.ask("How warm is it?")).text()
    (tool,) = kept.named("execute_tool")
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"city": "Ulm"}
    assert tool.attributes["gen_ai.tool.call.result"] == "sk-***"
    answer = kept.named("realtime_inference")[-1]
    (message,) = json.loads(answer.attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": words}]
    assert "Be brief." in answer.attributes["gen_ai.system_instructions"]


async def test_a_call_that_does_not_come_about_says_why() -> None:
    kept = Kept()
    async with BentEmulator(api_keys={"sk-other"}) as server:
        with pytest.raises(rtcvoice.SignalingError):
            async with calling(server, telemetry=kept.telemetry()):
                pass
    (connect,) = kept.spans
    assert connect.status.status_code is trace.StatusCode.ERROR
    assert connect.attributes["error.type"] == "SignalingError"
    assert connect.attributes["rtcvoice.connect.stage"] == "token"
    labels = [labels for labels, _ in kept.points()["rtcvoice.connect.duration"]]
    assert labels == [{"rtcvoice.connect.stage": "total", "error.type": "SignalingError"}]


class Bad(SpanExporter):
    """An exporter that blocks until it is let go, or raises."""

    def __init__(self, hold: threading.Event | None = None) -> None:
        self._hold = hold

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._hold is None:
            raise OSError("the collector is gone")
        self._hold.wait(60)
        return SpanExportResult.SUCCESS


@pytest.mark.parametrize("blocks", [True, False])
async def test_an_exporter_that_blocks_or_raises_does_not_touch_the_call(
    blocks: bool, caplog
) -> None:
    hold = threading.Event() if blocks else None
    kept = Kept()
    kept.tracers.add_span_processor(SimpleSpanProcessor(Bad(hold)))
    loop = asyncio.get_running_loop()
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, telemetry=kept.telemetry()) as call,
    ):
        begun = loop.time()
        await (await call.ask("Hello!")).text()
        assert loop.time() - begun < 30  # nobody waited for the exporter
        if hold is not None:
            loop.call_later(0.1, hold.set)
    assert len(kept.named("realtime_inference")) == 1
    caplog.clear()  # the SDK complains of the exporter


async def test_providers_that_are_shut_down_in_the_middle_do_no_harm(caplog) -> None:
    kept = Kept()
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, telemetry=kept.telemetry()) as call,
    ):
        await asyncio.to_thread(kept.tracers.shutdown)
        await asyncio.to_thread(kept.meters.shutdown)
        assert await (await call.ask("Hello!")).text()
    caplog.clear()


async def test_calls_of_one_program_share_their_instruments(caplog) -> None:
    kept = Kept()
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, telemetry=kept.telemetry()) as one,
        calling(server, telemetry=kept.telemetry()) as other,
    ):
        await (await one.ask("Hello!")).text()
        await (await other.ask("Hello!")).text()
    assert kept.points()["gen_ai.client.operation.duration"][0][1] == 2
    assert kept.points()["rtcvoice.calls.active"] == [({}, 0)]
    assert "already" not in caplog.text  # the SDK's warning of instruments that are made twice


async def test_a_program_that_has_set_a_provider_gets_spans_without_asking(monkeypatch) -> None:
    kept = Kept()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: kept.tracers)
    async with BentEmulator(audio="instant") as server:
        async with calling(server) as call:
            await (await call.ask("Hello!")).text()
        assert len(kept.named("realtime_inference")) == 1
        before = len(kept.spans)
        async with calling(server, telemetry=False) as call:
            await (await call.ask("Hello!")).text()
    assert len(kept.spans) == before


def test_there_is_telemetry_where_a_provider_is_set_or_it_is_asked_for(monkeypatch) -> None:
    assert options.wanted(None) is None  # the API alone, which does nothing
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: TracerProvider())
    assert options.wanted(None) == Telemetry()
    assert options.wanted(False) is None
    given = Telemetry(content=True)
    assert options.wanted(given) is given


def test_what_telemetry_cannot_be_is_refused_at_once(monkeypatch) -> None:
    with pytest.raises(ConfigError, match="telemetry= is a str"):
        rtcvoice.connect(source=None, sink=None, telemetry="on")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="tracer_provider= is a dict"):
        Telemetry(tracer_provider={})  # type: ignore[arg-type]
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"opentelemetry-api.*rtcvoice\[otel\]"):
        rtcvoice.connect(source=None, sink=None, telemetry=True)
