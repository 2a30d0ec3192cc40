"""The other end of a call, on this machine: a Realtime server over real WebRTC.

    HTTP  rest -> server -> peer                          token, offer, answer, hang-up
    wire  peer: tap -> PlayoutEngine -> Session           what the user says, every 20 ms
          peer: text -> Session -> text                   client events in, server events out,
                                                          to the channel and the sidebands
          Session -> mouth -> SourceTrack ==> wire        what the assistant says

`session/` is the heart: the whole protocol, pure, in virtual time. `peer.py` gives it a clock, a
connection and audio; `server_end.py` is what it has in common with a call by WebSocket. What it
says are recorded prompts (`voice.py`), chosen by a persona; what it hears it knows from a script,
or because it has the clip. `rest/` is HTTP, `sideband.py` the WebSocket beside a call,
`socket_call.py` a call that is a WebSocket, `recording.py` what is kept of it. `live/` is
the second dialect, GPT-Live, with a core and shells of its own.
`passive_tcp.py` takes media by TCP. `faults.py` names all that can be made to go wrong; `wire.py`
and `relay.py` do it to datagrams. Needs the extra: pip install "rtcvoice[emulator]".
"""

from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra

try:
    from rtcvoice.emulator.answer import AnswerShape
    from rtcvoice.emulator.background import BackgroundEmulator
    from rtcvoice.emulator.faults import AnswerFault, Faults, HttpFault, Strike
    from rtcvoice.emulator.joined import joined_audio
    from rtcvoice.emulator.live.options import LiveOptions
    from rtcvoice.emulator.server import EmulatedCall, Emulator, LoggedEvent
    from rtcvoice.emulator.session.faults import SessionEnd
    from rtcvoice.emulator.session.plan import Failure
    from rtcvoice.emulator.session.shared import Pace
    from rtcvoice.emulator.session.turn import Turn
    from rtcvoice.emulator.voice import prompt_path
except ModuleNotFoundError as exc:
    if exc.name not in ("aiohttp", "yaml"):
        raise
    raise ConfigError(
        f"the emulator needs the package {exc.name}", hint=install_extra("emulator")
    ) from exc

ABOUT = (
    "It is not a model: it answers in recorded prompts, knows its own clips and its script,"
    " cannot translate, and costs nothing."
)
"""What is to be said to whoever meets it."""

__all__ = [
    "ABOUT",
    "AnswerFault",
    "AnswerShape",
    "BackgroundEmulator",
    "EmulatedCall",
    "Emulator",
    "Failure",
    "Faults",
    "HttpFault",
    "LiveOptions",
    "LoggedEvent",
    "Pace",
    "SessionEnd",
    "Strike",
    "Turn",
    "joined_audio",
    "prompt_path",
]
