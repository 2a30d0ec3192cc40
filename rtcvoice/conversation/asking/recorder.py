"""Records answers as they are heard: one task at a time listens to what the sink gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rtcvoice.conversation.ports import AudioOutput
from rtcvoice.sound.samples import Block

from .answer import Answer

__all__ = ["ReplyRecorder"]


class ReplyRecorder:
    """Gives answers their sound, as `output` lets it be heard."""

    def __init__(self, output: AudioOutput) -> None:
        self._output = output
        self._answer: Answer | None = None
        self._response_id = ""
        self._task: asyncio.Task[None] | None = None
        self._left: float | None = None
        self._ahead: dict[str, int] = {}  # response that is listened for; blocks before it

    def listen_ahead(self, answer: Answer, response_id: str) -> None:
        """Record from now on, if nothing is recorded; `start` drops what came before it."""
        if self._answer is None and response_id not in self._ahead:
            self.start(answer, response_id)
            self._ahead = {response_id: len(answer.blocks)}

    def start(self, answer: Answer, response_id: str) -> None:
        """Record from now on."""
        if response_id in self._ahead:
            answer.forget_blocks(self._ahead[response_id])
        self._ahead = {}
        self._end()
        answer.rate = self._output.rate
        answer.recording(on=True)
        self._answer, self._response_id, self._left = answer, response_id, None
        self._task = asyncio.create_task(
            self._record(self._output.listen(), answer), name="rtcvoice recording of a reply"
        )

    def stop(self, response_id: str, *, at_once: bool) -> None:
        """Stop recording a response: at once, or when what was sent has been heard."""
        if response_id != self._response_id or self._answer is None:
            return
        if at_once:
            self._end()
        else:
            self._left = self._output.held

    def finish(self, response_id: str) -> None:
        """Stop recording a response that was heard, should nobody have told that it was sent."""
        if response_id == self._response_id and self._answer is not None and self._left is None:
            self._end()

    async def aclose(self) -> None:
        """Stop, and wait until the task has."""
        task = self._task
        self._end()
        if task is not None:
            await asyncio.wait({task})

    async def _record(self, blocks: AsyncIterator[Block], answer: Answer) -> None:
        async for block in blocks:
            answer.record(block.samples)
            if self._left is not None:
                self._left -= len(block.samples) / answer.rate
                if self._left <= 0:
                    break
        if self._answer is answer:
            self._task, self._answer = None, None
            answer.recording(on=False)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._answer is not None:
            self._answer.recording(on=False)
            self._answer = None
