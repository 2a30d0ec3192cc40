"""`batch` and `load`: many calls, seen while they are made, and kept."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import sys
import unicodedata
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

import rtcvoice
from rtcvoice import __version__
from rtcvoice.cli.batch_progress import Progress
from rtcvoice.cli.exit_codes import NOT_ALL
from rtcvoice.cli.output import write_line
from rtcvoice.errors import ConfigError, CredentialsError, RtcVoiceError, SignalingError, clean
from rtcvoice.fleet.caller import PROMPT
from rtcvoice.fleet.caps import Caps
from rtcvoice.fleet.dry_run import EmulatorProcess
from rtcvoice.fleet.many import CALLS_PER_PROCESS, RunOfCalls, cores
from rtcvoice.fleet.one_call import LATE
from rtcvoice.fleet.page import page_of
from rtcvoice.fleet.run_folder import RunFolder
from rtcvoice.fleet.spec_file import read_specs, with_trials
from rtcvoice.fleet.specs import CallSpec, Step
from rtcvoice.system.environment import environment
from rtcvoice.system.extras import install_extra
from rtcvoice.system.threads import in_thread

__all__ = ["run", "run_load"]

logger = logging.getLogger(__name__)

_VENDORS = ("openai.com", "openai.azure.com", "cognitiveservices.azure.com")

DRY_RUN, LIST_PRICE = "not charged", "at the service's prices"
"""What is said of costs where it is not the service that was called."""

SPEECH = "prompt:question"
"""What each caller of `load` says again and again."""


async def run(options: argparse.Namespace) -> int:
    """Make the calls of a file; return the exit code."""
    if options.script is not None and not options.emulator:
        raise ConfigError("--script works only with --emulator", hint="add --emulator")
    if options.dask and options.emulator:
        raise ConfigError("--dask and --emulator: the cluster does not reach an emulator here")
    specs = read_specs(options.file, trials=options.trials)
    if not options.dask:
        _check_sounds(specs)
    if not options.emulator and not options.dask:
        _check_key(specs, options.base_url)
    emulator = EmulatorProcess(script=options.script)
    async with AsyncExitStack() as stack:
        url = options.base_url
        if options.emulator:
            await stack.enter_async_context(emulator)
            specs = [_at_one_server(emulator.url, spec) for spec in specs]
        executor = stack.enter_context(_dask(options.dask)) if options.dask else None
        caps = Caps(
            starts_per_second=options.starts,
            calls=options.calls,
            tokens_per_minute=options.tokens_per_minute,
            cost=options.max_cost,
        )
        served_by = emulator if options.emulator else None
        code = await _make(specs, options, caps, url=url, executor=executor, emulator=served_by)
    if emulator.late > LATE:
        write_line(
            sys.stderr,
            f"the emulator was up to {emulator.late:.1f} s late: this machine is too slow for so"
            " many calls at once, and waits are longer than they should be; --calls makes fewer",
        )
    return code


def _check_sounds(specs: list[CallSpec]) -> None:
    """Raise ConfigError for a sound that is missing, before calls are charged."""
    said = {step.say: spec.scenario for spec in specs for step in spec.steps if step.say}
    for name, scenario in said.items():
        if not name.startswith(PROMPT) and not Path(name).exists():
            raise ConfigError(
                f"scenario {clean(scenario)}: there is no sound file {clean(name)}",
                hint="sound files are looked for beside the file of calls",
            )


def _check_key(specs: list[CallSpec], url: str | None) -> None:
    """Raise CredentialsError where no call of the service can be made."""
    elsewhere = url or environment("OPENAI_BASE_URL")
    of_the_service = any("base_url" not in spec.options for spec in specs)
    if elsewhere or not of_the_service:
        return
    key = environment("OPENAI_API_KEY")
    if key is None:
        raise CredentialsError(
            "no API key",
            hint="set OPENAI_API_KEY, or put it into .env, or try the calls with --emulator",
        )
    rtcvoice.ApiKey(key)  # raises for one that cannot be


async def run_load(options: argparse.Namespace) -> int:
    """Load a server of the user's own; return the exit code."""
    _check_server(options.base_url, allowed=options.i_may_load_this_server)
    if options.file:
        read = read_specs(options.file, trials=1)
        specs = with_trials(read, math.ceil(options.calls / len(read)))[: options.calls]
    else:
        turns = max(1, round(options.seconds / 20))
        steps = (Step(say=SPEECH), Step(listen=60.0)) * turns
        specs = with_trials([CallSpec(scenario="load", steps=steps)], options.calls)
    caps = Caps(starts_per_second=options.ramp, calls=options.calls)
    specs = [_at_one_server(options.base_url, spec) for spec in specs]
    return await _make(specs, options, caps, url=options.base_url, resume=False)


async def _make(
    specs: list[CallSpec],
    options: argparse.Namespace,
    caps: Caps,
    *,
    url: str | None,
    executor: Executor | None = None,
    resume: bool | None = None,
    emulator: EmulatorProcess | None = None,
) -> int:
    out = Path(options.out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S"))
    config = {
        "rtcvoice": __version__,
        "calls": len(specs),
        "file": str(getattr(options, "file", None) or ""),
        "base_url": url or "",
    }
    given: dict[str, Any] = {"base_url": url, "model": options.model}
    given = {name: value for name, value in given.items() if value is not None}
    record = "" if options.no_record else str(Path.cwd() / out / "calls")
    specs = [replace(s, options={**s.options, **given}, record=record) for s in specs]
    if options.network is not None:
        specs = [replace(spec, network=options.network) for spec in specs]
    if executor is None:
        _check_options(specs)
    resumed = options.resume if resume is None else resume
    folder = RunFolder(out, config=config, resume=resumed)
    processes = options.processes or cores()
    per_process = math.ceil(options.calls / processes) if options.calls else CALLS_PER_PROCESS
    priced = DRY_RUN if getattr(options, "emulator", False) else LIST_PRICE if url else ""
    with Progress(len(specs), priced=priced) as progress:
        run = RunOfCalls(specs, caps=caps, on_result=progress.take, keeper=folder)
        progress.watch(run)
        watching = asyncio.create_task(_stop_without(emulator, run), name="rtcvoice batch emulator")
        try:
            await run.make(executor, processes=processes, calls_per_process=per_process)
        except asyncio.CancelledError:
            run.stopped = run.stopped or "the run was stopped"
            raise
        finally:
            watching.cancel()
            progress.end()
            names = {spec.file_name for spec in specs}
            summary, results = folder.finish(stopped=run.stopped, among=names)
            reported = await in_thread(_report_worst, summary, out / "calls")
            page = page_of(summary, results, title=out.name, reported=reported, priced=priced)
            folder.write("report.html", page.encode())
            if not run.refused:
                _tell(summary, out, priced=priced, resumable=resume is None)
    if run.refused:
        raise SignalingError(
            f"no call is possible: {run.stopped}",
            hint="no more calls were tried; mend the cause, then go on"
            + (f" with --out {out} --resume" if resume is None else ""),
        )
    completed = summary["outcomes"]["completed"]
    return 0 if completed == len(specs) else NOT_ALL


def _check_options(specs: list[CallSpec]) -> None:
    """Raise ConfigError for options that no call can have, before there is a run."""
    seen = set()
    for spec in specs:
        persona = {} if spec.persona is None else spec.persona.options
        for given in (spec.options, persona):
            if (text := msgspec.json.encode(given)) in seen:
                continue
            seen.add(text)
            try:
                rtcvoice.connect(source=None, sink=None, **given)  # it is not entered
            except ConfigError as exc:
                message = f"scenario {clean(spec.scenario)}: {exc.message}"
                raise ConfigError(message, hint=exc.hint) from exc


async def _stop_without(emulator: EmulatorProcess | None, run: RunOfCalls) -> None:
    """Stop the run when its emulator is gone: what runs would only fail after a while."""
    if emulator is not None:
        run.stop(await emulator.wait_lost())


def _at_one_server(url: str, spec: CallSpec) -> CallSpec:
    """Return a call whose caller, should it be a model, is served where the agent is.

    Else a load would fall on a server that nobody named, such as the vendor's.
    """
    persona = spec.persona
    if persona is not None:
        persona = replace(persona, options={**persona.options, "base_url": url})
    return replace(spec, options={**spec.options, "base_url": url}, persona=persona)


def _report_worst(summary: dict[str, Any], calls: Path) -> set[str]:
    """Make a report of each of the worst calls that has a recording; return those recordings."""
    reported = set()
    for recording in filter(None, (worst["recording"] for worst in summary["worst"])):
        if Path(recording).is_absolute() or ".." in Path(recording).parts:
            continue  # said by a worker on another machine
        try:
            rtcvoice.report(calls / recording)
        except RtcVoiceError as exc:
            logger.warning("x no report of %s: %s", recording, exc)
        else:
            reported.add(recording)
    return reported


def _tell(summary: dict[str, Any], out: Path, *, priced: str, resumable: bool) -> None:
    counts = ", ".join(f"{n} {name}" for name, n in summary["outcomes"].items() if n)
    calls = "1 call" if summary["calls"] == 1 else f"{summary['calls']} calls"
    write_line(sys.stdout, f"{calls}: {counts or 'none'}")
    waits = summary["latency"]
    if waits["count"]:
        told = ", ".join(f"{name} {waits[name]:.2f} s" for name in ("p50", "p90", "p95"))
        write_line(sys.stdout, f"answers after: {told}")
    unknown = summary["calls_of_unknown_cost"]
    some = "a call" if unknown == 1 else f"{unknown} calls"
    beside = f", and {some} of unknown cost" if unknown else ""
    cost = f"US$ {summary['cost']:.2f}{beside}"
    if priced == DRY_RUN:
        cost = f"nothing (emulator); the service would charge about {cost}"
    elif priced:
        cost = f"{cost} {priced}; what the server asks is not known here"
    write_line(sys.stdout, f"cost: {cost}")
    for worst in summary["worst"][:3]:
        if worst["outcome"] != "completed":
            write_line(sys.stdout, clean(f"{worst['unit']}: {worst['outcome']}: {worst['error']}"))
    if summary["stopped"]:
        further = f"; --out {out} --resume goes on" if resumable else ""
        write_line(sys.stdout, f"stopped: {summary['stopped']}{further}")
    write_line(sys.stdout, f"all of it: {out / 'report.html'}")


def _check_server(url: str, *, allowed: bool) -> None:
    """Refuse to load a server that is nobody's to load. Raises ConfigError."""
    try:
        parts = urlsplit(unicodedata.normalize("NFKC", url).replace("\u3002", "."))
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError as exc:
        raise ConfigError(f"--base-url {url!r:.200} is not an address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise ConfigError(f"--base-url {url!r:.200} is not an address", hint="http://HOST:PORT/v1")
    if any(host == vendor or host.endswith(f".{vendor}") for vendor in _VENDORS):
        raise ConfigError(
            f"{host} is the vendor's: loading it would be charged, and is forbidden",
            hint="use batch for tests against it, with --max-cost",
        )
    if host not in ("127.0.0.1", "localhost", "::1") and not allowed:
        raise ConfigError(f"{host} is another machine", hint="--i-may-load-this-server, if you may")


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError as exc:
        raise ConfigError("--dask needs a package", hint=install_extra("dask")) from exc
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError, TimeoutError) as exc:
        raise ConfigError(f"there is no Dask scheduler at {clean(address)}: {exc}") from exc
    with client, client.get_executor() as executor:
        yield executor
