"""What of our environment an MCP server may see: what programs need, and no keys."""

from __future__ import annotations

from collections.abc import Mapping

from rtcvoice.system.environment import seen_environment

__all__ = ["environment"]

_SEEN = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        # Windows
        *("APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT"),
        *("PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP"),
        *("USERNAME", "USERPROFILE", "WINDIR"),
    )
)


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server: a few of our variables, and what the user adds.

    A function of the shell's, which may stand in a variable, is left out.
    """
    seen = seen_environment(_SEEN)
    return {name: value for name, value in seen.items() if not value.startswith("()")} | dict(added)
