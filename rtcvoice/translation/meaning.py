"""What an event of a translation is in the terms of GPT-Live, whose state takes it; pure.

Both are streams without turns, whose words come as they are spoken. Here a word has one place,
`elapsed_ms`: that of the frame of 200 ms which it came with.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.events import live, translations

__all__ = ["FRAME_MS", "meaning"]

FRAME_MS = 200
"""One step of the stream."""


def meaning(event: Any, *, asked_to_close: bool) -> Any:
    """Return the event of GPT-Live; what has none is returned as it is.

    asked_to_close: whether we have ended the session, where it is told that it has ended.
    """
    match event:
        case translations.SessionCreated():
            return live.SessionStarted(event_id=event.event_id, session=_session(event.session))
        case translations.SessionUpdated():
            return live.SessionUpdated(event_id=event.event_id, session=_session(event.session))
        case translations.SessionClosed():
            reason = "close_requested" if asked_to_close else "expired"
            return live.SessionClosed(event_id=event.event_id, reason=reason)
        case translations.InputTranscriptDelta():
            return live.InputTranscriptDelta(delta=event.delta, **_place(event))
        case translations.OutputTranscriptDelta():
            return live.OutputTranscriptDelta(delta=event.delta, **_place(event))
        case translations.ErrorEvent(error=error):
            detail = live.ErrorDetail(
                message=error.message,
                type=error.type,
                code=error.code,
                param=error.param,
                client_event_id=error.event_id,
            )
            return live.ErrorEvent(event_id=event.event_id, error=detail)
    return event


def _place(event: Any) -> dict[str, Any]:
    elapsed = event.elapsed_ms
    if elapsed is None:
        return {"event_id": event.event_id}
    start = max(0, elapsed - FRAME_MS)
    return {"event_id": event.event_id, "start_ms": start, "end_ms": elapsed}


def _session(session: translations.Session) -> live.Session:
    return live.Session(id=session.id, model=session.model, expires_at=session.expires_at)
