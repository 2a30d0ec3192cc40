"""How what is missing is installed, in the one way in which all hints say it.

rtcvoice is on no package index. For one that is installed, pip takes `"rtcvoice[mcp]"` in any
folder, and adds what the extra needs; with --upgrade it would look for rtcvoice elsewhere.
"""

from __future__ import annotations

__all__ = ["REINSTALL", "install_extra"]

REINSTALL = "in the folder of rtcvoice's repository: pip install --force-reinstall ."
"""Where an installation is broken."""


def install_extra(name: str) -> str:
    """Return the command that installs an extra of pyproject.toml."""
    return f'pip install "rtcvoice[{name}]"'
