"""The command line: `python -m rtcvoice` and the console script `rtcvoice`."""

import sys

from rtcvoice.system.interrupts import interrupts_end_the_process

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code."""
    with interrupts_end_the_process():
        from rtcvoice.cli import main as command_line
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
