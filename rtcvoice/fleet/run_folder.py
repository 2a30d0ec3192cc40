"""A run on disk: one file for each result, written whole or not at all, and what they come to.

    OUT/config.json           what was asked for, and by which version
        results/RUN~UNIT.json one result each, there as soon as the call is over
        results.jsonl, results.csv, summary.json    made at the end, from those
        calls/                recordings, where they are wanted

A run that is resumed reads `results/`: what is there is not done again.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.system.small_files import UnreadableFile, read_text

from .results import CallResult, Outcome, result_from_json, result_to_json
from .specs import CallSpec
from .summary import summary_of

__all__ = ["RunFolder"]

logger = logging.getLogger(__name__)

MARK = "rtcvoice-run"
"""What `config.json` says it is; a folder without it is somebody else's."""

LARGEST_RESULT = 16 * 1024 * 1024
"""Bytes of a result's file: more is none of ours."""

_OURS = (Outcome.COMPLETED, Outcome.FAILED)
"""Outcomes that stand when a run is resumed; the others were not the other side's doing."""


class RunFolder:
    """The folder of one run. Raises ConfigError where it cannot be one.

    resume: go on with the run that is there; without it the folder must be new or empty.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, config: Mapping[str, Any], resume: bool = False
    ) -> None:
        self.path = Path(folder)
        self._results = self.path / "results"
        try:
            self._begin(dict(config), resume=resume)
        except OSError as exc:
            raise ConfigError(
                f"a run cannot be kept in {self.path}: {exc.strerror or exc}",
                hint="name another folder",
            ) from exc

    def _begin(self, config: dict[str, Any], *, resume: bool) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        named = self.path / "config.json"
        if named.exists():
            if not self._is_ours(named):
                raise ConfigError(f"{named} is not of a run", hint="name another folder")
            if not resume:
                raise ConfigError(
                    f"there is a run in {self.path} already", hint="--resume, or another folder"
                )
        elif any(self.path.iterdir()):
            raise ConfigError(f"{self.path} holds other things", hint="name a new folder")
        self._results.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps({"kind": MARK, **config}, indent=2, ensure_ascii=False)
        _write(named, text.encode())

    @staticmethod
    def _is_ours(named: Path) -> bool:
        try:
            return json.loads(read_text(named, most_bytes=LARGEST_RESULT)).get("kind") == MARK  # type: ignore[no-any-return]
        except (UnreadableFile, ValueError, AttributeError, RecursionError):
            return False

    def done(self, spec: CallSpec) -> CallResult | None:
        """Return the result of a call that stands, None if it is to be made."""
        result = self._read(self._file_of(spec.file_name))
        if result is None or result.outcome not in _OURS or result.file_name != spec.file_name:
            return None
        return result

    def keep(self, result: CallResult) -> None:
        """Write a result. Raises OSError."""
        _write(self._file_of(result.file_name), result_to_json(result) + b"\n")

    def results(self, among: Container[str] | None = None) -> Iterator[CallResult]:
        """Yield the results there are, by name; what is no result is skipped.

        among: the names (`CallSpec.file_name`) of those that count; None for all.
        """
        for file in sorted(self._results.glob("*.json")):
            result = self._read(file) if among is None or file.stem in among else None
            if result is not None and result.file_name == file.stem:
                yield result

    def finish(
        self, *, stopped: str = "", among: Container[str] | None = None
    ) -> tuple[dict[str, Any], list[CallResult]]:
        """Write the table, the lines and the summary; return the summary and its results.

        Raises ConfigError when they cannot be written.
        """
        results = list(self.results(among))
        lines = b"".join(result_to_json(result) + b"\n" for result in results)
        self.write("results.jsonl", lines)
        self.write("results.csv", table(results).encode())
        summary = summary_of(results, stopped=stopped)
        self.write("summary.json", json.dumps(summary, indent=2, ensure_ascii=False).encode())
        return summary, results

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the run, whole or not at all. Raises ConfigError when it cannot."""
        try:
            _write(self.path / name, data)
        except OSError as exc:
            raise ConfigError(
                f"{self.path / name} cannot be written: {exc.strerror or exc}",
                hint="make room, then --resume",
            ) from exc

    def _file_of(self, name: str) -> Path:
        return self._results / f"{name}.json"  # letters, digits, . _ - alone: see CallSpec

    @staticmethod
    def _read(file: Path) -> CallResult | None:
        try:
            return result_from_json(read_text(file, most_bytes=LARGEST_RESULT))
        except (UnreadableFile, msgspec.MsgspecError, RecursionError) as exc:
            if not (isinstance(exc, UnreadableFile) and exc.is_missing):
                logger.warning("x %s is not a result: %s", file, exc)
            return None


_COLUMNS = ("run", "scenario", "trial", "seed", "outcome", "error", "stage", "code", "seconds")
_FIGURES = ("connect_seconds", "interruptions", "talk_over", "tokens", "cost", "packets_lost")
_MORE = ("concealed", "playout_delay", "round_trip", "late", "attempts", "call_id", "recording")
_NETWORK = ("uplink_packets_lost", "network")


def table(results: Iterable[CallResult]) -> str:
    """Return results as CSV; no cell of it is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = (*_COLUMNS, *_FIGURES, *_MORE, *_NETWORK)
    writer.writerow([*names, "turns", "tools", "latency"])
    for result in results:
        row = [getattr(result, name) for name in names]
        mean = sum(result.latencies) / len(result.latencies) if result.latencies else ""
        row += [len(result.turns), " ".join(use.name for use in result.tools), mean]
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


_FORMULAS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""What a formula begins with; the wide ones are taken for the narrow ones in East Asia."""


def _cell(value: Any) -> Any:
    """Return what a spreadsheet takes for text where it would take it for a formula."""
    if value is None:
        return ""
    if isinstance(value, str) and value and value[0] in _FORMULAS:
        return f"'{value}"
    return value


def _write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
