"""The exit codes of all commands: the one table of them."""

from __future__ import annotations

from rtcvoice.errors import (
    CallEnded,
    ConfigError,
    CredentialsError,
    DeviceError,
    RtcVoiceError,
    ServerError,
    SignalingError,
    TransportError,
)

__all__ = ["DIFFERENT", "EXIT_CODES", "EXIT_CODES_TOLD", "NOT_ALL", "exit_code"]

EXIT_CODES: tuple[tuple[type[RtcVoiceError], int], ...] = (
    (ConfigError, 2),
    (CredentialsError, 3),
    (SignalingError, 4),
    (TransportError, 5),
    (DeviceError, 6),
    (ServerError, 7),
    (CallEnded, 7),
    (RtcVoiceError, 1),
)

DIFFERENT = 8
"""The exit code of a replay that went otherwise than the recorded call."""

NOT_ALL = 9
"""The exit code of a run of many calls of which not all completed."""

EXIT_CODES_TOLD = """\
exit codes: 0 done, 1 a broken installation, 2 wrong options, 3 no usable key,
  4 refused or unreachable (HTTP), 5 no connection (WebRTC), 6 audio device or
  file, or no room for the output, 7 ended by the server, 8 a replay differs,
  9 not all calls of a run completed,
  129 SIGHUP, 130 Ctrl-C, 141 the reader of stdout left, 143 SIGTERM
"""


def exit_code(error: RtcVoiceError | None, *, without: int = 1) -> int:
    """Return the exit code that tells of `error`; `without` where there is none."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), without)
