"""Every name by which telemetry tells something; a leaf.

Those that begin with `gen_ai.` are of OpenTelemetry's semantic conventions for generative AI, which
are in development; two sets of names of metrics are in use, and `OTEL_SEMCONV_STABILITY_OPT_IN`
chooses. Times are in seconds, as the conventions want it, unless a name ends in `_ms`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LATEST", "SPANS", "STABLE_SO_FAR", "GenAiMetrics", "chosen"]

SCOPE = "rtcvoice"
"""The instrumentation scope: who made a span or a metric."""

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

# -- spans ----------------------------------------------------------------------------------------

CONNECT = "rtcvoice.connect"
TURN = "rtcvoice.turn"
RECONNECT = "rtcvoice.reconnect"
USER_SPEECH = "user_speech"
ASSISTANT_SPEECH = "assistant_speech"
INFERENCE = "realtime_inference"
"""Of its span: followed by the model. Also the operation's name."""
TOOL = "execute_tool"
"""Of its span: followed by the tool. Also the operation's name."""

SPANS = (CONNECT, TURN, RECONNECT, USER_SPEECH, ASSISTANT_SPEECH, INFERENCE, TOOL)

# -- attributes -----------------------------------------------------------------------------------

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
OUTPUT_TYPE = "gen_ai.output.type"
SESSION_ID = "gen_ai.realtime_session.id"
CONVERSATION_ID = "gen_ai.conversation.id"
MAX_TOKENS = "gen_ai.request.max_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKENS_BY_KIND = {
    "input_text": "gen_ai.usage.text.input_tokens",
    "input_audio": "gen_ai.usage.audio.input_tokens",
    "input_image": "gen_ai.usage.image.input_tokens",
    "cached_text": "gen_ai.usage.text.cache_read.input_tokens",
    "cached_audio": "gen_ai.usage.audio.cache_read.input_tokens",
    "cached_image": "gen_ai.usage.image.cache_read.input_tokens",
    "output_text": "gen_ai.usage.text.output_tokens",
    "output_audio": "gen_ai.usage.audio.output_tokens",
}

# What was said: only where it is asked for.
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"

FIRST_OUTPUT = "rtcvoice.first_output"
"""An event of the span of inference: the first word, sound, or part of a function call."""
CALL_ID = "rtcvoice.call.id"
STAGE = "rtcvoice.connect.stage"
SECONDS = "rtcvoice.connect.seconds"
ROUTE = "rtcvoice.network.route"
VIA = "rtcvoice.network.via"
CANDIDATE_PAIR = "rtcvoice.network.candidate_pair"
HEARD_MS = "rtcvoice.heard_ms"
GENERATED_MS = "rtcvoice.generated_ms"
INTERRUPTED = "rtcvoice.interrupted"
LATENCY = "rtcvoice.turn.latency"
LATENCY_DETECTION = "rtcvoice.turn.latency.detection"
LATENCY_RESPONSE = "rtcvoice.turn.latency.response"
REASON = "rtcvoice.reconnect.reason"
ATTEMPTS = "rtcvoice.reconnect.attempts"
REPLAYED = "rtcvoice.reconnect.items_replayed"
DROPPED = "rtcvoice.reconnect.items_dropped"
GAP_MS = "rtcvoice.reconnect.gap_ms"
RESULT = "rtcvoice.reconnect.result"
BY = "rtcvoice.interruption.by"
DIRECTION = "rtcvoice.direction"
STATUS_CODE = "http.response.status_code"

# -- metrics --------------------------------------------------------------------------------------

CONNECT_DURATION = "rtcvoice.connect.duration"
TURN_LATENCY = "rtcvoice.turn.latency"
ROUND_TRIP = "rtcvoice.network.round_trip"
PACKETS_LOST = "rtcvoice.packets.lost"
PACKETS_RECEIVED = "rtcvoice.packets.received"
CONCEALED = "rtcvoice.audio.concealed"
PLAYOUT_DELAY = "rtcvoice.playout.delay"
INTERRUPTIONS = "rtcvoice.interruptions"
RECONNECTS = "rtcvoice.reconnects"
ACTIVE_CALLS = "rtcvoice.calls.active"
COST = "rtcvoice.cost"
TOKEN_SERVER_REQUESTS = "rtcvoice.token_server.requests"  # noqa: S105
EMULATED_CALLS = "rtcvoice.emulator.calls"
EMULATED_ACTIVE_CALLS = "rtcvoice.emulator.calls.active"
TOOL_DURATION = "gen_ai.execute_tool.duration"


class GenAiMetrics(NamedTuple):
    """The names of the metrics of inference; where input and output have one, `usage` is empty."""

    duration: str
    first_chunk: str
    usage: str = ""
    input_tokens: str = ""
    output_tokens: str = ""


STABLE_SO_FAR = GenAiMetrics(
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    usage="gen_ai.client.token.usage",
)

LATEST = GenAiMetrics(
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.time_to_first_chunk",
    input_tokens="gen_ai.client.inference.usage.input_tokens",
    output_tokens="gen_ai.client.inference.usage.output_tokens",
)


def chosen(opt_in: str | None) -> GenAiMetrics:
    """Return the names that the value of `OTEL_SEMCONV_STABILITY_OPT_IN` chooses."""
    words = {word.strip().lower() for word in (opt_in or "").split(",")}
    return LATEST if "gen_ai_latest_experimental" in words else STABLE_SO_FAR
