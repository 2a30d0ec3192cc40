"""One call from the terminal, on the public API: live, from a file or a pipe, or in writing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import rtcvoice
from rtcvoice import (
    Call,
    CallEnded,
    DeviceError,
    FileSink,
    FileSource,
    PipeSink,
    PipeSource,
    SignalingError,
    Sink,
    Source,
)
from rtcvoice.cli.approval import Person
from rtcvoice.cli.call_ends import CallEnds, chosen_ends
from rtcvoice.cli.demo_options import farewell
from rtcvoice.cli.emulated import check_script, choose_output, use_emulator
from rtcvoice.cli.figures import figures
from rtcvoice.cli.keys import Keyboard, can_be_typed_at
from rtcvoice.cli.live import LiveScreen
from rtcvoice.cli.parser import STDIO
from rtcvoice.cli.push_to_talk import obey_push_keys, pushed_ends
from rtcvoice.cli.screen import JsonScreen, PlainScreen, Screen
from rtcvoice.cli.session_options import session_from
from rtcvoice.cli.status import KEYS
from rtcvoice.cli.summary import Summary
from rtcvoice.cli.transcript_file import transcript_file
from rtcvoice.cli.translate import (
    choose_way,
    interpreter,
    is_missing,
    translate_turns,
    translator,
)
from rtcvoice.cli.watch import Ear, obey_keys, show_events, show_status, watching
from rtcvoice.config.dialect import is_live
from rtcvoice.errors import clean, one_line

__all__ = ["run"]

SETTLE = 1.5
"""Seconds of idleness after which everything has been said: a server needs a moment to begin."""


async def run(options: argparse.Namespace) -> int:
    """Make the call that the options describe; return the exit code."""
    check_script(options)
    with ExitStack() as opened:
        async with AsyncExitStack() as stack:
            chosen = asyncio.ensure_future(choose_output(options))  # beside the emulator's start
            if options.emulator:
                _say_the_question(options)
                await use_emulator(options, stack)
            await chosen
            opened.enter_context(figures(options))
            ends = chosen_ends(options, opened)
            await _talk(options, pushed_ends(ends, options) if options.push_to_talk else ends)
    if options.demo and not options.json:
        farewell(Path(options.output) if isinstance(ends.sink, FileSink) else None)
    return 0


def _say_the_question(options: argparse.Namespace) -> None:
    """With nothing to say to the emulator, say the shipped question."""
    from rtcvoice.emulator import prompt_path

    if options.input is None and options.text is None and options.microphone is None:
        question = prompt_path("question")
        options.input = str(question)
        if options.to is None:  # whoever is to translate says that this is beyond the emulator
            options.script = options.script or str(question.parent / "demo.yaml")


async def _talk(options: argparse.Namespace, ends: CallEnds) -> None:
    person = Person()
    way = choose_way(options) if options.to is not None else ""
    connecting = _connecting(options, ends, person)
    replaced = _replaced(ends.sink)
    with transcript_file(options.transcript) as files, _screen(options) as screen:
        async with _up(connecting, options, ends, person, screen) as call:
            screens = [screen, *files]
            for each in screens:
                each.connected(call)
            for notice in filter(None, (replaced, way)):
                screen.notice(notice)
            try:
                await _hold(call, ends, screens, options, person)
            finally:  # also when interrupted: that is how most live calls end
                reason = await call.wait_ended()
                waits = [turn.seconds for turn in call.latency]
                summary = Summary(call.usage, waits, free=options.emulator)
                for each in screens:
                    each.ended(reason, _note(ends.sink), summary)
    _raise_failure(ends, reason)


def _connecting(options: argparse.Namespace, ends: CallEnds, person: Person) -> rtcvoice.connect:
    session = _session(options, person)
    return rtcvoice.connect(source=ends.source, sink=ends.sink, **session)


@asynccontextmanager
async def _up(
    connecting: rtcvoice.connect,
    options: argparse.Namespace,
    ends: CallEnds,
    person: Person,
    screen: Screen,
) -> AsyncIterator[Call]:
    """Be in the call; where a server has no interpreter, a Realtime model is told to be one."""
    try:
        call = await connecting
    except SignalingError as exc:
        if options.to is None or options.by_instructions or not is_missing(exc):
            raise
        options.by_instructions, options.model = True, None
        screen.notice(
            f"the server has no model that translates ({one_line(exc.message, 100)}): a Realtime"
            " model is told by instructions to interpret"
        )
        call = await _connecting(options, ends, person)
    async with aclosing(call):
        yield call


def _session(options: argparse.Namespace, person: Person) -> dict[str, Any]:
    """Return what `connect` is to know of the session."""
    session = session_from(options, person)
    if options.to is not None:
        session |= interpreter(options) if options.by_instructions else translator(options)
    if options.push_to_talk and not _is_live(options):  # GPT-Live has none to switch off
        session["turn_detection"] = None
    return session


def _is_live(options: argparse.Namespace) -> bool:
    return is_live({"model": options.model})


def _screen(options: argparse.Namespace) -> Screen:
    """Return what shows the call: words go to stderr where stdout has the audio."""
    stream = sys.stderr if options.output == STDIO else sys.stdout
    if options.json:
        return JsonScreen(stream)
    if stream is not None and LiveScreen.fits(stream):
        return LiveScreen(stream)
    return PlainScreen(stream)


async def _hold(
    call: Call,
    ends: CallEnds,
    screens: Sequence[Screen],
    options: argparse.Namespace,
    person: Person,
) -> None:
    """Return when everything was said, or the call has ended; and everything was shown."""
    ear, screen = Ear(), screens[0]
    watchers = [show_events(call, *screens)]
    if options.to is not None and options.by_instructions and not options.push_to_talk:
        watchers.append(translate_turns(call, screen))
    if not isinstance(screen, LiveScreen):
        watchers.append(show_status(call, ends, screen, ear))
        async with watching(call, *watchers):
            await _say_everything(call, ends, options)
        return
    keyboard = Keyboard(
        may_leave=screen.may_suspend,
        on_leave=screen.leave,
        on_return=screen.come_back,
        is_ours=screen.is_ours,
    )
    if options.to is not None and not options.by_instructions:
        screen.keys = [key for key in KEYS if key[1] != "interrupt"]
    if can_be_typed_at():
        person.sit_down(screen.ask)
    with keyboard:
        watchers += [show_status(call, ends, screen, ear, keyboard), ear.listen(call)]
        if options.push_to_talk:
            watchers.append(obey_push_keys(call, keyboard, screen, ends.source, person.keys))
        else:
            watchers.append(obey_keys(call, keyboard, screen, person.keys))
        async with watching(call, *watchers):
            await _say_everything(call, ends, options)


async def _say_everything(call: Call, ends: CallEnds, options: argparse.Namespace) -> None:
    """Return when the file and the text were said and answered, the time is up, or it is over."""
    with suppress(TimeoutError, CallEnded):
        async with asyncio.timeout(options.seconds):
            if options.text is not None:
                # GPT-Live would take note of what is sent, and not answer it.
                await (call.ask if _is_live(options) else call.send)(options.text)
            if ends.live:
                await call.wait_ended()
            if isinstance(ends.source, FileSource | PipeSource):
                await _first(ends.source.wait_finished(), call.wait_ended())
            if not _failed(ends.source):
                await _settled(call)
            await call.hangup(drain=options.seconds is None)


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them does."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _settled(call: Call) -> None:
    """Wait until the call has been idle for SETTLE seconds without an event that changes that."""
    while True:
        try:
            await call.wait_for("*", timeout=SETTLE)
        except TimeoutError:
            if call.is_idle:
                return


def _replaced(sink: Sink | None) -> str:
    """Return what is said of a recording that is there already: it is lost with this call."""
    if isinstance(sink, FileSink):
        with suppress(OSError):
            if sink.path.stat().st_size:
                return clean(f"{sink.path} was there already: this call takes its place")
    return ""


def _note(sink: Sink | None) -> str:
    """Return what became of the output."""
    if isinstance(sink, FileSink):
        return clean(f"{sink.path} has {sink.duration:.1f} s")
    if isinstance(sink, PipeSink) and sink.dropped:
        return f"{sink.dropped / sink.rate:.1f} s were dropped: the reader was too slow"
    return ""


def _failed(source: Source | None) -> DeviceError | None:
    """Return why there is nothing more to be heard of the source, if it is not at its end."""
    return source.error if isinstance(source, PipeSource) else None


def _raise_failure(ends: CallEnds, reason: CallEnded) -> None:
    """Raise what went wrong, the cause before its consequences."""
    if isinstance(ends.sink, FileSink | PipeSink) and ends.sink.error is not None:
        error = ends.sink.error
        raise error.__cause__ if isinstance(error.__cause__, BrokenPipeError) else error
    if failure := _failed(ends.source):
        raise failure
    if not reason.normal:
        raise reason
