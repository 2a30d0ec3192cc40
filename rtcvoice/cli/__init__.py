"""The command line: a caller in the terminal, and the emulator as a server.

`options.py` says what can be asked for, `talk.py` makes one call on the public API and nothing
else, `transcript.py` (pure) puts what both sides say in order, `screen.py` shows it.
"""

from rtcvoice.cli.main import main

__all__ = ["main"]
