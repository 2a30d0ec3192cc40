"""Runs a command and turns its end into an exit code: 0 or the kind of failure, never a traceback.

SIGINT, SIGTERM and SIGHUP cancel the command's task: leaving its `async with` hangs up cleanly. A
second one does not wait for that. A reader of stdout that leaves, such as `head`, ends it cleanly,
too.
"""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TextIO

from rtcvoice.cli.demo_options import greet, is_drawn
from rtcvoice.cli.dot_env import KEYS, take_key, wants_key
from rtcvoice.cli.exit_codes import exit_code
from rtcvoice.cli.options import parse
from rtcvoice.cli.output import NoRoom, explain, explained, silence
from rtcvoice.errors import ConfigError, CredentialsError, RtcVoiceError, clean
from rtcvoice.system.environment import environment
from rtcvoice.system.interrupts import interrupts_end_the_process

__all__ = ["main"]

logger = logging.getLogger(__name__)

PIPE_CLOSED = 128 + 13
"""What the shell reports of a program that SIGPIPE ended."""

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own by default) and return the exit code."""
    try:
        return _explained(argv)
    except RtcVoiceError as exc:
        explain(exc)
        return exit_code(exc)
    except KeyboardInterrupt:  # before the command ran
        return 128 + signal.SIGINT


def _explained(argv: Sequence[str] | None) -> int:
    """Run the command line; a stdout that takes no more is explained like anything else."""
    try:
        try:
            code = _command(argv)
        except SystemExit as exc:  # --help and --version
            code = exc.code if isinstance(exc.code, int) else 1
        if sys.stdout is not None:
            sys.stdout.flush()  # at exit it would be too late to explain it
    except BrokenPipeError:
        silence(sys.stdout)
        return PIPE_CLOSED
    except OSError as exc:
        silence(sys.stdout)
        raise explained(exc) from exc
    except NoRoom:
        silence(sys.stdout)
        raise
    return code


def _command(argv: Sequence[str] | None) -> int:
    options = parse(argv)
    _log(options.verbose)
    if wants_key(options):
        options.dot_env_error = _key_from_dot_env()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # words come in any language
    greet(options)
    try:
        with interrupts_end_the_process():
            from rtcvoice.cli.keys import give_back, unechoed
        with unechoed() if is_drawn(options) else contextlib.nullcontext():
            with interrupts_end_the_process(give_back):  # it imports the command
                command = options.run(options)
            return _run(command)
    except CredentialsError as exc:
        unread = getattr(options, "dot_env_error", None)
        if unread is not None and not any(map(environment, KEYS)):
            raise unread from exc  # the key may be there
        raise


def _key_from_dot_env() -> RtcVoiceError | None:
    """Take the key of `.env`; return why it has none: no command stops because of that."""
    try:
        take_key()
    except (ConfigError, CredentialsError) as exc:
        logger.info("x %s", exc)
        return exc
    return None


def _log(verbose: int) -> None:
    level = {0: logging.ERROR, 1: logging.INFO}.get(verbose, logging.DEBUG)
    handler = _Stderr()
    handler.setFormatter(
        _CleanFormatter("%(asctime)s.%(msecs)03d %(name)s %(message)s", datefmt="%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler])
    if not verbose:  # that a tool failed is told by the transcript
        logging.getLogger("rtcvoice.conversation.tools.runner").setLevel(logging.CRITICAL)
        logging.getLogger("rtcvoice.config").setLevel(logging.WARNING)  # models that end
    for library in ("aiortc", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.INFO if verbose > 1 else logging.WARNING)
    # A request that is no HTTP is told with a traceback; what is wrong with ours is told elsewhere.
    logging.getLogger("aiohttp.server").setLevel(logging.INFO if verbose > 1 else logging.CRITICAL)
    logging.getLogger("aioice").setLevel(logging.WARNING)  # each candidate pair, several times


class _CleanFormatter(logging.Formatter):
    """Lets no server, nor a library that repeats its words, steer the terminal or make up lines."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record)).replace("\n", "\n  ")


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the moment: a live screen puts the lines above itself."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        pass


def _run(command: Coroutine[Any, Any, int]) -> int:
    import asyncio  # late: --help and complaints about options need none

    from rtcvoice.cli.keys import give_back

    stopped_by: list[signal.Signals] = []

    async def supervised() -> int:
        task = asyncio.ensure_future(command)

        def stop(number: signal.Signals) -> None:
            if stopped_by:
                give_back()
                loop.remove_signal_handler(number)
                signal.raise_signal(number)
            stopped_by.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
                    loop.add_signal_handler(number, stop, number)
        return await task

    try:
        return asyncio.run(supervised())
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 128 + (stopped_by[0] if stopped_by else signal.SIGINT)
