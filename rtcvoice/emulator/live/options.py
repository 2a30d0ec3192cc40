"""Switches of the Live dialect: how quick the model is, and what nobody has seen the service do.

    Emulator(live=LiveOptions(hearing_delay=1.2, yields=False))
    python -m rtcvoice emulator --live hearing_delay=1.2 --live yields=false

Times are seconds of the model's clock where they are about speech, of the wall elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rtcvoice.errors import ConfigError
from rtcvoice.system.options import Options

__all__ = ["AS_KNOWN", "LiveOptions"]


@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options):
    """How Live sessions behave; the defaults are what was seen, or else the likeliest."""

    # What is known, and may be slower or quicker
    reply_after: float = 0.4
    """Silence after which the user is taken to have finished."""
    text_lead: float = 0.2
    """How long the model's text comes before its sound: 0.2 to 0.6."""
    hearing_delay: float = 0.7
    """How long after a word of the user its text comes: seen were 0.5 to 1.2."""
    interleave: bool = True
    """The user's last words may come after the model's first. False: the model waits for them."""
    yields: bool = True
    """The model stops when the user talks over it; a script's `yields` says it for one answer."""
    yield_after: float = 0.4
    """Seconds of the user's speech after which it stops; shorter speech is passed over."""
    usage_every: float = 12.0
    """Between two `session.usage.updated`; 0: there are none."""
    close_delay: float = 0.6
    """From `session.close` to `session.closed` when nothing else is to be done."""
    drain: float = 10.0
    """How long a running response of the backend may hold up the end at most."""
    lost_after: float = 30.0
    """After a client vanished its session is closed, and charged until then."""
    acknowledgement: str = "one-moment"
    """The prompt or text that is said while somebody works on a delegation."""
    reasoning: bool = False
    """Whether the backend's responses begin with a reasoning item."""
    count_tokens: bool = True
    """Refuse texts that are too long, by an estimate of four characters for a token."""

    # What is not known
    closes: bool = True
    """Whether `session.close` is ever answered; once it was not."""
    leaves_after: float = 1.0
    """From `session.closed` to the end of the connection, which the client may end earlier."""
    pause_clock: Literal["stands", "runs"] = "stands"
    """What the model's clock does while the session is paused."""
    wake_loses: float = 0.0
    """Seconds of the speech that ends a pause that are not heard."""
    appends_wake: bool = True
    """Whether a commentary ends a pause; otherwise it waits for the user's speech."""
    stop_obeyed: bool = True
    """Whether instructions that say "stop" silence the model at once."""
    commands_before_start: Literal["kept", "refused"] = "kept"
    """What becomes of a sideband's commands before the session has started."""
    large_events: Literal["close", "drop"] = "close"
    """What happens to the channel where an event is larger than the client's offer allows."""
    replay: bool = True
    """Whether a sideband first gets the events of the last seconds."""
    graceful_close: bool = False
    """Whether sidebands are closed with a closing handshake without having asked for it."""
    fixtures_on_channel: bool = False
    """Whether the data channel may play fixtures."""
    null_codes: bool = False
    """Whether errors without a code of their own have null in its place, as was seen."""
    errors_twice: bool = True
    """Whether an error has `client_event_id` beside `error`, too, not inside alone."""

    # What goes wrong
    no_credit: bool = False
    """The error `credit_balance_exhausted` comes in place of `session.started`."""
    content_after: float | None = None
    """The safety filter cuts the model's speech after so many seconds of the session."""
    content_closes: bool = True
    """Whether it also ends the session, with the reason `content`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.2 <= self.text_lead <= 0.6:
            raise ConfigError(f"text_lead={self.text_lead:g} cannot be", hint="it is 0.2 to 0.6")


AS_KNOWN = LiveOptions()
