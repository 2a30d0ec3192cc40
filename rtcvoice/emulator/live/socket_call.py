"""A Live session that is a WebSocket: the shell of the other dialect, with this dialect's end."""

from __future__ import annotations

import logging
from typing import Any

from rtcvoice.emulator.live.peer import LiveFailures
from rtcvoice.emulator.live.socket_core import SocketCore
from rtcvoice.emulator.socket_call import SocketCall

__all__ = ["LiveSocketCall"]

logger = logging.getLogger(__name__)


class LiveSocketCall(SocketCall):
    """The server's end of one session; made as a `SocketCall` is."""

    def __init__(self, core: SocketCore, **given: Any) -> None:
        super().__init__(core, **given)
        self._failures = LiveFailures()
