"""The Realtime session, pure: the whole protocol without a clock, a socket or a thread.

    client event -> client_events (is it one?) -> Session -> answers, item_commands, settings ...
    audio        -> turns (voice_activity) -> persona.hear -> answers
    answers      -> persona.respond -> plan -> responses -> messages, function_calls
    Outbox       -> noise (faults) -> SendEvent, PlayAudio, StopAudio, Close -> whoever drives it

`session.py` joins the parts around the hub in `shared.py`. Time comes in as `now`, what is due lies
in the `agenda`, and nothing leaves except through the `outputs`. Who answers is a persona: the
`assistant`, or a `script` (`script_file` reads it from YAML).
"""
