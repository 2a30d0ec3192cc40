"""Pauses are coded the cheap way, every block of a voice well."""

from __future__ import annotations

import numpy as np
from signals import speech
from virtual_loop import run

from rtcvoice.capture.effort import PAUSE_COMPLEXITY, Effort
from rtcvoice.capture.source import Silence
from rtcvoice.capture.track import SourceTrack
from rtcvoice.sound.samples import Block, peak_of
from rtcvoice.sound.voice_level import SILENT

RATE = 24000


def worth(effort: Effort, *peaks: int) -> list[bool]:
    return [effort.complexity(peak, 5) == 5 for peak in peaks]


def test_silence_is_not_worth_it_from_its_second_block_on():
    assert worth(Effort(), 0, 0, SILENT, 0) == [True, False, False, False]


def test_the_block_in_which_a_voice_begins_is():
    effort = Effort()
    worth(effort, *[0] * 500)
    assert worth(effort, 3000, 0, 0, 200, 0) == [True, True, False, True, True]


def test_what_is_soft_beside_the_voice_is_a_pause_and_soft_speech_is_not():
    assert worth(Effort(), 20000, 300, 300, 300) == [True, True, False, False]
    assert worth(Effort(), 5000, 300, 300, 300) == [True] * 4


def test_after_a_loud_noise_soft_speech_is_coded_well_again_soon():
    effort = Effort()
    worth(effort, 32767, *[300] * 600)
    assert worth(effort, 300, 300) == [True, True]


class Speaker:
    """A second of silence, a second of a voice, and so on; every block that was read."""

    rate = RATE

    def __init__(self) -> None:
        self._pace = Silence(rate=RATE)
        self._voice = speech(1.0, RATE)
        self.peaks: list[int] = []

    async def read(self) -> Block:
        block = await self._pace.read()
        second, at = divmod(block.index, RATE)
        if second % 2:
            block = block._replace(samples=self._voice[at : at + RATE // 50])
        self.peaks.append(peak_of(block.samples))
        return block


def test_the_track_codes_words_well_and_pauses_cheaply():
    async def main() -> None:
        track, speaker = SourceTrack(), Speaker()
        track.start(speaker)
        complexities = []
        for _ in range(200):
            await track.recv()
            complexities.append(track._encoder.complexity)
        del speaker.peaks[len(complexities) :]
        loud = np.array(speaker.peaks) > 1000
        assert loud.any()
        assert set(np.array(complexities)[loud]) == {5}
        assert complexities.count(PAUSE_COMPLEXITY) >= 90
        assert track._encoder.bitrate == track.stats.bitrate

    run(main())


def test_muted_is_coded_cheaply():
    async def main() -> None:
        track = SourceTrack()
        track.muted = True
        track.start(Speaker())
        for _ in range(3):
            await track.recv()
        assert track._encoder.complexity == PAUSE_COMPLEXITY

    run(main())
