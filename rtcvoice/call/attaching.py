"""The stages of getting a socket to a call that goes on already: the key, the socket.

wss .../v1/realtime?call_id=rtc_...                           Realtime, and calls by telephone
wss .../v1/live/sessions/live_.../attach?graceful_close=true  GPT-Live
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from rtcvoice.call.imports import FOR_SIDEBAND, imported
from rtcvoice.call.socket_connecting import CallSocket, SocketConnecting, socket_root
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import CredentialsError, SignalingError
from rtcvoice.rest.credentials import Credentials
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.signaling import Signaling

if TYPE_CHECKING:
    from rtcvoice.capture.no_track import NoTrack
    from rtcvoice.wire.sideband_leg import Watch
    from rtcvoice.wire.websocket import UpgradeFailed

__all__ = ["NO_TOKEN", "Attaching", "attaching_for", "is_gone"]

NO_TOKEN = "a call is attached to with an API key: ephemeral tokens, and what gives them, cannot"  # noqa: S105

GONE = 404


class Attaching(SocketConnecting):
    """The making of one socket to a call of the Realtime API; see `SocketConnecting`."""

    def __init__(
        self, call_id: str, config: CallConfig, timings: Timings, watch: Watch | None = None
    ) -> None:
        super().__init__(config, timings)
        self._call_id = call_id
        self._watch = watch

    async def begin(self) -> Credentials:
        """Import what is needed and get the key. Raises CredentialsError for a token."""
        await imported(FOR_SIDEBAND)
        credentials = await super().begin()
        if self._signaling.token_was_given:
            raise CredentialsError(NO_TOKEN, hint="api_key=, or OPENAI_API_KEY")
        return credentials

    def _new_leg(self, headers: Mapping[str, str]) -> CallSocket:
        from rtcvoice.capture.no_track import NoTrack
        from rtcvoice.wire.sideband_leg import SidebandLeg

        track = NoTrack()
        return SidebandLeg(
            self._signaling,
            track,
            url=self._address,
            call_id=self._call_id,
            headers=headers,
            tls=self._tls,
            pulse=self._pulse,
            on_sound=self._reader_of(track),
            watch=self._watch,
        )

    def _reader_of(self, track: NoTrack) -> Callable[[str], bool] | None:
        """Return what reads sound that comes in events; None where none does."""
        return None

    @property
    def _address(self) -> str:
        """Where the call is attached to."""
        root = socket_root(self._config.base_url)
        return f"{root}/realtime?call_id={quote(self._call_id, safe='')}"

    def changes_for(self, config: CallConfig) -> dict[str, Any]:
        """Return only what the caller set: the rest of the session is somebody else's."""
        return config.session_changes()

    def _failed(self, exc: UpgradeFailed, credentials: Credentials) -> SignalingError:
        error = super()._failed(exc, credentials)
        if is_gone(error):
            error.hint = "the call is over, or it is not of this key's project, or of the other API"
        return error


class LiveAttaching(Attaching):
    """The same for a session of GPT-Live."""

    signaling_class: ClassVar[type[Signaling]] = LiveSignaling

    def _reader_of(self, track: NoTrack) -> Callable[[str], bool] | None:
        from rtcvoice.live.side_sound import SideSound

        return SideSound(track).take

    @property
    def _address(self) -> str:
        """Where the session is attached to; it is closed in due form."""
        name = quote(self._call_id, safe="")
        root = socket_root(self._config.base_url)
        return f"{root}/live/sessions/{name}/attach?graceful_close=true"


def attaching_for(
    call_id: str, config: CallConfig, timings: Timings, watch: Watch | None = None
) -> Attaching:
    """Return the making of a socket to this call; `watch` reads along what goes by it."""
    return (LiveAttaching if config.is_live else Attaching)(call_id, config, timings, watch)


def is_gone(error: BaseException) -> bool:
    """Whether the server knows no such call: it is over."""
    return isinstance(error, SignalingError) and error.status == GONE
