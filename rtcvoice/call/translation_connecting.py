"""The making of one leg for a translation: as for the Realtime API, at other addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from rtcvoice.call.connecting import Connecting
from rtcvoice.call.socket_connecting import SocketConnecting, socket_root
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.session_fields import merged
from rtcvoice.events import translations
from rtcvoice.rest.signaling import Signaling
from rtcvoice.rest.translation_signaling import TranslationSignaling

if TYPE_CHECKING:
    from rtcvoice.capture.event_track import EventTrack

__all__ = ["TranslationConnecting", "TranslationSocketConnecting"]


class TranslationConnecting(Connecting):
    """The making of one leg by WebRTC; see `Connecting`."""

    signaling_class: ClassVar[type[Signaling]] = TranslationSignaling


class TranslationSocketConnecting(SocketConnecting):
    """The making of one leg over a WebSocket; see `SocketConnecting`."""

    signaling_class: ClassVar[type[Signaling]] = TranslationSignaling

    @property
    def _address(self) -> str:
        model = quote(self._config.model, safe="")
        return f"{socket_root(self._config.base_url)}/realtime/translations?model={model}"

    def _new_track(self) -> EventTrack:
        from rtcvoice.capture.event_track import EventTrack

        return EventTrack(written=_append)

    def changes_for(self, config: CallConfig) -> dict[str, Any]:
        """Return what makes the session the one of `config`; its audio has one format."""
        given = self._signaling.token_was_given
        session = config.session_changes() if given else config.session_payload()
        session.pop("model", None)  # it is in the address, and does not change
        return merged(session, self._updates)


def _append(audio: str) -> str:
    return translations.encode(translations.InputAudioAppend(audio=audio))
