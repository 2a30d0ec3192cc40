"""What can go wrong, as one tree.

    RtcVoiceError
    ├── ConfigError           you asked for something impossible; nothing was sent
    ├── CredentialsError      no key or token, or one that cannot be used
    ├── SignalingError        the REST exchange failed: status, code, request id
    ├── TransportError        the connection failed: the stage that did
    ├── DeviceError           microphone, loudspeaker or audio file
    ├── ServerError           the server answered a command of ours with an error event
    ├── ConcurrencyError      two tasks would read one stream
    └── CallEnded             the call is over; what you asked for can no longer happen

Every message names the cause and, where there is one, the cure (`hint`). Keys and tokens never
enter a message: the border that raises masks them first. Control characters, which a server or a
file may have put into the text, are taken out of every message by the root class (`clean`), and so
is what would make it longer than a screen.
"""

from __future__ import annotations

import copyreg
import re
from typing import TYPE_CHECKING, Any

from rtcvoice.system.public import public

if TYPE_CHECKING:
    from rtcvoice.events.from_server import ErrorEvent
    from rtcvoice.events.responses import RealtimeResponse

__all__ = [
    "CallEnded",
    "ConcurrencyError",
    "ConfigError",
    "CredentialsError",
    "DeviceError",
    "RtcVoiceError",
    "ServerError",
    "SignalingError",
    "TransportError",
    "clean",
    "one_line",
]

_DROPPED = (
    *range(0x20),  # C0, with the escape sequences of terminals
    *range(0x7F, 0xA0),  # DEL and C1
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # bidirectional
)
_CLEANED: dict[int, str | None] = dict.fromkeys(_DROPPED) | {
    0x09: " ",
    0x0A: "\n",
    0x2028: "\n",
    0x2029: "\n",
}
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` for people to read: without what would steer a terminal or reorder the line.

    Line breaks stay, tabs become spaces, other control characters and the bidirectional marks go.
    A lone surrogate, which no file or terminal can take, becomes U+FFFD.
    """
    if text.isprintable():  # of these characters none is
        return text
    return _SURROGATE.sub("\ufffd", text.translate(_CLEANED))


MOST = 2000
"""Characters of a message: what a server or a file put into it may be longer than any screen."""


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST // 2]} [...] {text[-MOST // 3 :]}"


def one_line(text: str, most: int = 300) -> str:
    """Return `text` cleaned and in one line of at most `most` characters, for logs and reports."""
    line = " ".join(clean(text[: 2 * most]).split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


@public
class RtcVoiceError(Exception):
    """Root of everything rtcvoice raises; `hint` says what to do next, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = clean(_cut(message))
        self.hint = clean(_cut(hint))
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are no part of `args`: without this, no error could be pickled.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


@public
class ConfigError(RtcVoiceError, ValueError):
    """An option has a value that cannot work; raised before anything is sent."""


@public
class CredentialsError(RtcVoiceError):
    """There is no key or token to use, or it is not of the kind needed here."""


@public
class SignalingError(RtcVoiceError):
    """A REST request of call set-up or call control failed.

    `status` is the HTTP status (None: no answer came), `code` the API's error code, `request_id`
    the `x-request-id` to quote to the provider's support, `retry_after` the seconds that the server
    asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after
        self.code = code if code is None else one_line(code)
        self.request_id = request_id if request_id is None else one_line(request_id)


@public
class TransportError(RtcVoiceError):
    """The connection failed; `stage` names the step (ice, dtls, channel, websocket, session...)."""

    def __init__(self, message: str, *, stage: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stage = stage


@public
class DeviceError(RtcVoiceError):
    """A microphone, loudspeaker or audio file cannot be opened, read or written."""


@public
class ServerError(RtcVoiceError):
    """The server refused a command, or failed to answer.

    `event` is its error event, if there was one; `response` the response that failed.
    """

    def __init__(
        self,
        message: str,
        *,
        event: ErrorEvent | None = None,
        response: RealtimeResponse | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.event = event
        self.response = response


@public
class ConcurrencyError(RtcVoiceError):
    """Two tasks read one stream at the same time: each would get only a part of it."""


@public
class CallEnded(RtcVoiceError):  # noqa: N818  (an end is not always an error)
    """The call is over. `reason` tells why; `normal` is False where an error
    or a cancellation ended it.

    `__cause__` is the error that ended the call, when one did.
    """

    def __init__(self, reason: str, *, normal: bool, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.reason = self.message
        self.normal = normal

    def again(self) -> CallEnded:
        """Return an equal error to raise: one that everybody raised would gather their tracebacks.

        The cause is the same.
        """
        copy = CallEnded(self.reason, normal=self.normal, hint=self.hint)
        copy.__cause__ = self.__cause__
        return copy
