"""What of an answer a call is built on: its text as aiortc can use it, and the addresses; pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rtcvoice.errors import RtcVoiceError, TransportError
from rtcvoice.masking import masked
from rtcvoice.system.hosts import Reach
from rtcvoice.wire import sdp
from rtcvoice.wire.tcp_candidates import choose_tcp

__all__ = ["UsableAnswer", "answer_errors", "usable_answer"]


class UsableAnswer(NamedTuple):
    """An answer that a call can be built on."""

    sdp: str
    hosts: list[str]
    """The addresses that are tried by UDP, as they were written."""
    tcp: tuple[tuple[str, int], ...]
    """Those that are tried by TCP."""


def usable_answer(
    text: str, *, most_candidates: int, by_udp: bool = True, by_tcp: bool, reach: Reach
) -> UsableAnswer:
    """Return what is used of an answer. Raises AnswerError when a call cannot be built on it."""
    normalised = sdp.normalise_answer(text, most_candidates=most_candidates, by_tcp=by_tcp)
    if not by_udp:
        normalised = sdp.without_candidates(normalised, "udp", "mdns")
    if not by_tcp:
        plain = sdp.without_candidates(normalised, "tcp")
        return UsableAnswer(plain, sdp.candidate_hosts(plain), ())
    choice = choose_tcp(normalised, reach)
    if "\r\na=candidate:" not in choice.sdp:
        what = f": {choice.refused}" if choice.refused else ""
        raise sdp.AnswerError(
            f"the server's SDP answer names no address to connect to{what}",
            hint="have the server offer a UDP address, or TCP at port 443 of a public address",
        )
    return UsableAnswer(choice.sdp, sdp.candidate_hosts(choice.sdp), choice.addresses)


@contextmanager
def answer_errors() -> Iterator[None]:
    """Raise what goes wrong with an answer as TransportError(stage=answer)."""
    try:
        yield
    except sdp.AnswerError as exc:
        raise TransportError(masked(str(exc)), stage="answer", hint=exc.hint) from exc
    except RtcVoiceError:
        raise
    except OSError as exc:  # all that asks the network here
        raise TransportError(
            f"the server names its address by mDNS only, and asking for it fails: {exc}",
            stage="answer",
            hint="have the server name an address; does another program hold UDP port 5353?",
        ) from exc
    except Exception as exc:  # aiortc raises many kinds for an SDP it cannot use
        what = ascii(masked(str(exc)) or type(exc).__name__)[1:-1][:200]
        raise TransportError(
            f"the server's SDP answer cannot be used: {what}",
            stage="answer",
            hint="it is not what an answer to our offer has to be; ask the server's operator",
        ) from exc
