"""What can go wrong, as one tree.

    RtcVoiceError
    ├── ConfigError           you asked for something impossible; nothing was sent
    ├── CredentialsError      no key or token, or one that cannot be used
    ├── SignalingError        the REST exchange failed: status, code, request id
    ├── TransportError        WebRTC failed: the stage that did
    ├── DeviceError           microphone, loudspeaker or audio file
    ├── ServerError           the server answered a command of ours with an error event
    └── CallEnded             the call is over; what you asked for can no longer happen

Every message names the cause and, where there is one, the cure (`hint`). Keys and tokens never
enter a message: the border that raises masks them first.
"""

from __future__ import annotations

import copyreg
from typing import Any

__all__ = [
    "CallEnded",
    "ConfigError",
    "CredentialsError",
    "DeviceError",
    "RtcVoiceError",
    "ServerError",
    "SignalingError",
    "TransportError",
]


class RtcVoiceError(Exception):
    """Root of everything rtcvoice raises; `hint` says what to do next, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are no part of `args`: without this, no error could be pickled.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigError(RtcVoiceError, ValueError):
    """An option has a value that cannot work; raised before anything is sent."""


class CredentialsError(RtcVoiceError):
    """There is no key or token to use, or it is not of the kind needed here."""


class SignalingError(RtcVoiceError):
    """A REST request of call set-up or call control failed.

    `status` is the HTTP status (None: no answer came), `code` the API's error code, `request_id`
    the `x-request-id` to quote to the provider's support.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.request_id = request_id


class TransportError(RtcVoiceError):
    """The WebRTC connection failed; `stage` names the step (ice, dtls, channel, session, ...)."""

    def __init__(self, message: str, *, stage: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stage = stage


class DeviceError(RtcVoiceError):
    """A microphone, loudspeaker or audio file cannot be opened, read or written."""


class ServerError(RtcVoiceError):
    """The server refused a command; `event` is its error event."""

    def __init__(self, message: str, *, event: Any = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.event = event


class CallEnded(RtcVoiceError):  # noqa: N818  (an end is not always an error)
    """The call is over. `reason` tells why; `normal` whether anybody wanted it so.

    `__cause__` is the error that ended the call, when one did.
    """

    def __init__(self, reason: str, *, normal: bool, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.reason = reason
        self.normal = normal

    def again(self) -> CallEnded:
        """Return an equal error to raise: one that everybody raised would gather their tracebacks.

        The cause is the same.
        """
        copy = CallEnded(self.reason, normal=self.normal, hint=self.hint)
        copy.__cause__ = self.__cause__
        return copy
