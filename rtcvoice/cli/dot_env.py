"""The key in `.env` of the working directory: for commands that need one and were given none.

The file may be anybody's, such as that of a repository just cloned. So only the names of keys are
read, and an address only together with its key: a key of the shell goes to the shell's address or
to the default one, whatever the file says. Nothing in it is expanded, and no other name gets into
the environment.
"""

from __future__ import annotations

import argparse
import io
import os
import select
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from rtcvoice.addresses import is_azure
from rtcvoice.environment import complete_environment, environment
from rtcvoice.errors import ConfigError

__all__ = ["KEYS", "from_file", "take_key", "wants_key"]

KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
ADDRESS = "OPENAI_BASE_URL"

MOST_BYTES = 1 << 20
PATIENCE = 5.0
"""Seconds to wait for the writer of a named pipe, such as a password manager."""


def wants_key(options: argparse.Namespace) -> bool:
    """Whether the command calls a server with a key that the options do not bring along."""
    if not hasattr(options, "dot_env_error") or getattr(options, "emulator", False):
        return False
    return options.api_key_file is None and getattr(options, "token_url", None) is None


def take_key(path: str | Path = ".env") -> None:
    """Put the key of the file, and the address that belongs to it, into this process's environment.

    What the environment has already stays. Raises ConfigError for a file that cannot be read.
    """
    try:
        text = _text(Path(path))
    except FileNotFoundError:
        return
    except OSError as exc:
        raise _unreadable(path, (exc.strerror or str(exc)).lower()) from exc
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    present = {name for name in (*KEYS, ADDRESS) if environment(name)}
    complete_environment(from_file(values, present))


def from_file(
    values: Mapping[str, str | None], present: set[str] | frozenset[str]
) -> dict[str, str]:
    """Return what is taken of a file's `values` where the environment has `present`; pure."""
    found = {
        name: value for name in (*KEYS, ADDRESS) if (value := (values.get(name) or "").strip())
    }
    keys = {name: found[name] for name in KEYS if name in found and name not in present}
    if ADDRESS not in found or ADDRESS in present:
        return keys
    # The key that calls to this address would be made with has to be the file's own.
    on_azure = _is_azure(found[ADDRESS])
    names = KEYS[::-1] if on_azure else KEYS[:1]
    shown = next((name for name in names if name in present or name in keys), None)
    if shown in keys:
        return keys | {ADDRESS: found[ADDRESS]}
    return {}  # its keys are meant for an address that is not called


def _is_azure(address: str) -> bool:
    try:
        return is_azure(address)
    except ValueError:
        return False


def _text(path: Path) -> str:
    data = _bytes(path)
    if len(data) > MOST_BYTES:
        raise _unreadable(path, f"it is larger than {MOST_BYTES >> 10} KiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        raise _unreadable(path, "it is no UTF-8, perhaps UTF-16")
    # Other lines may be in any encoding: keys and addresses are ASCII.
    return data.decode("utf-8-sig", "replace")


def _bytes(path: Path) -> bytes:
    """Read the file, a little more than MOST_BYTES at most, without waiting for ever."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise _unreadable(path, "it is a folder" if stat.S_ISDIR(mode) else "it is no file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb", buffering=0) as file:
        return _piped(path, file) if stat.S_ISFIFO(mode) else file.read(MOST_BYTES + 1)


def _piped(path: Path, file: io.FileIO) -> bytes:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    data = bytearray()
    end = time.monotonic() + PATIENCE
    while len(data) <= MOST_BYTES:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise _unreadable(path, "it is a named pipe that nobody writes into")
        if not (piece := file.read(MOST_BYTES)):
            break
        data += piece
    return bytes(data)


def _unreadable(path: str | Path, cause: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read: {cause}",
        hint="it holds lines like OPENAI_API_KEY=sk-..., in UTF-8; or set the key in the"
        " environment, or use --api-key-file",
    )
