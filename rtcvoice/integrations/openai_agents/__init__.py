"""The Agents SDK of OpenAI (`openai-agents`) over WebRTC: one argument of `RealtimeRunner`.

    model.py      WebRTCModel: what the SDK asks of a model, done by a call
    settings.py   what the SDK wants of the session -> options of `connect` and `update`
    received.py   what the server tells -> the SDK's events
    asked.py      one answer at a time, whoever wants one
    sent_sound.py sound that the program gives to `session.send_audio` -> a source
    heard.py      what is heard of which item: for the program, and for a playback tracker

Needs the extra: pip install "rtcvoice[openai-agents]".
"""

try:
    import agents.realtime  # noqa: F401  (to say at once what is missing)
except ModuleNotFoundError as exc:
    if exc.name not in ("agents", "agents.realtime"):
        raise
    raise ModuleNotFoundError(
        'the Agents SDK is missing: pip install "rtcvoice[openai-agents]"', name=exc.name
    ) from exc

from .model import WebRTCModel

__all__ = ["WebRTCModel"]
