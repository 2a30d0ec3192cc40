"""The Agents SDK of OpenAI (`openai-agents`) over WebRTC: one argument of `RealtimeRunner`.

    model.py      WebRTCModel: the SDK's model; begins and ends the call of a session
    running.py    a call under way: what it tells goes to the session
    commands.py   what the session asks, done by the call
    settings.py   what the SDK wants of the session -> options of `connect` and `update`
    received.py   what the server tells -> the SDK's events
    told.py       the session, and other listeners of the SDK
    asked.py      one answer at a time, whoever wants one
    sent_sound.py sound that the program gives to `session.send_audio` -> a source
    heard.py      what is heard of which item: for the program, and for a playback tracker

Needs the extra: pip install "rtcvoice[openai-agents]".
"""

from rtcvoice.system.extras import install_extra

try:
    import agents.realtime  # noqa: F401  (to say at once what is missing)
except ModuleNotFoundError as exc:
    if exc.name not in ("agents", "agents.realtime"):
        raise
    raise ModuleNotFoundError(
        f"the Agents SDK is missing: {install_extra('openai-agents')}", name=exc.name
    ) from exc

from .model import WebRTCModel

__all__ = ["WebRTCModel"]
