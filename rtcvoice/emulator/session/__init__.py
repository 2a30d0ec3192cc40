"""The Realtime session, pure: the whole protocol without a clock, a socket or a thread.

    client event -> client_events (is it one?) -> Session -> answers, conversation, settings ...
    audio        -> turns (voice_activity) -> conversation -> answers -> responses, messages
    Outbox       -> SendEvent, PlayAudio, StopAudio, Close -> whoever drives it

`session.py` joins the parts around the hub in `shared.py`. Time comes in as `now`, what is due lies
in the `agenda`, and nothing leaves except through the `outputs`.
"""
