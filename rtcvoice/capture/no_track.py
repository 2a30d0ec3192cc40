"""What stands in the place of a track where nothing is sent: the audio of the call goes past us."""

from __future__ import annotations

from collections.abc import Callable

from rtcvoice.sound.samples import Block
from rtcvoice.stats import UplinkStats

__all__ = ["NoTrack"]


class NoTrack:
    """Sends nothing; see `SourceTrack`."""

    def __init__(self) -> None:
        self.muted = False
        """Of no effect."""
        self.on_block: Callable[[Block, int], None] | None = None
        """Never called."""
        self.on_peak: Callable[[int, float], None] | None = None
        """Told by whoever knows what the user says: the largest sample of 20 ms, and when."""
        self.on_heard: Callable[[int, float], None] | None = None
        """The same for 10 ms of what the assistant says."""
        self.stats = UplinkStats()
        """Nothing was sent."""

    def start(self, source: object) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""
