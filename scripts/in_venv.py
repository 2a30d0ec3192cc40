"""Every script runs in the project's .venv, whichever Python starts it. Needs nothing installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def in_venv(extra: str) -> None:
    """Run the script again in .venv, which is made first, unless that is what runs it.

    `extra`: what it needs, "test" or "bench". To be called before anything else is imported.
    """
    venv = ROOT / ".venv"
    if Path(sys.prefix).resolve() != venv.resolve():
        subprocess.run([ROOT / "scripts" / "install", extra], check=True)
        python = str(venv / "bin" / "python")
        os.execv(python, [python, *sys.argv])
