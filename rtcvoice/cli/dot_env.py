"""The key in `.env` of the working directory: for commands that need one and were given none.

The file may be anybody's, such as that of a repository just cloned. So only the names of keys are
read, and an address only together with its key: a key of the shell goes to the shell's address or
to the default one, whatever the file says. Nothing in it is expanded, and no other name gets into
the environment.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from pathlib import Path

from rtcvoice.errors import ConfigError, CredentialsError
from rtcvoice.rest.addresses import is_azure
from rtcvoice.system.environment import complete_environment, environment
from rtcvoice.system.small_files import UnreadableFile, read_text

__all__ = ["KEYS", "from_file", "take_key", "wants_key"]

KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
ADDRESS = "OPENAI_BASE_URL"

MOST_BYTES = 64 << 10
"""A file of many lines costs time that grows with their square."""


def wants_key(options: argparse.Namespace) -> bool:
    """Whether the command calls a server with a key that the options do not bring along.

    A command that does has `dot_env_error` among its options: why `.env` gives no key.
    """
    if not hasattr(options, "dot_env_error") or getattr(options, "emulator", False):
        return False
    others = (getattr(options, name, None) for name in ("api_key_file", "token_url"))
    return all(other is None for other in others)


def take_key(path: str | Path = ".env") -> None:
    """Put the key of the file, and the address that belongs to it, into this process's environment.

    What the environment has already stays. Raises ConfigError for a file that cannot be read, and
    CredentialsError where neither the file nor the environment has a key.
    """
    try:
        text = read_text(path, most_bytes=MOST_BYTES, strict=False)  # keys are ASCII, all the same
    except UnreadableFile as exc:
        if exc.is_missing:
            return
        raise ConfigError(
            f"{path} cannot be read: {exc}",
            hint="it holds lines like OPENAI_API_KEY=sk-..., in UTF-8; or set the key in the"
            " environment, or use --api-key-file",
        ) from exc
    from dotenv import dotenv_values  # late: most have no such file

    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    present = {name for name in (*KEYS, ADDRESS) if environment(name)}
    complete_environment(from_file(values, present))
    if not any(environment(name) or values.get(name) for name in KEYS):
        raise CredentialsError(
            f"no API key: {path} has no line {KEYS[0]}=sk-...",
            hint="write that line into it, set the key in the environment, use --api-key-file, or"
            " try it without a key: python -m rtcvoice --emulator",
        )


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
