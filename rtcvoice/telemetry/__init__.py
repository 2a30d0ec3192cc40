"""Spans and metrics of calls for OpenTelemetry, made of the facts that a call tells.

names.py         every name of a span, a metric and an attribute
options.py       `Telemetry`, and whether anybody wants it
turns.py         which turn of the talk a reply, a speech or a tool belongs to
ids.py           the call and the session that a span belongs to
listener.py      takes the facts of one call
tracing.py       begins spans, under the turn they belong to
spans.py         makes spans of facts; connect_span.py, replies.py and tool_spans.py are parts of it
call_metrics.py  records metrics of facts
metrics.py       the instruments, one set for each provider
attributes.py    what a span may say: cleaned, and no longer than it may be
"""
