"""The options of `python -m rtcvoice doctor`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.network_options import add_config, add_key, add_network, add_relay
from rtcvoice.cli.parser import seconds, words

__all__ = ["add_doctor"]

_DESCRIPTION = """\
Look over everything that a call needs: versions, sound devices, the network
step by step, the key, and a real call of two seconds in silence (it costs next
to nothing). Each line is ok, warn or fail, and says what to do.

examples:
  %(prog)s
      with the key of the environment or of .env
  %(prog)s --emulator
      all but the internet: a call to a server on this machine
  %(prog)s --relay --ice-server turn:user:password@host
      whether a TURN server works
"""


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    parser.description = _DESCRIPTION
    where = parser.add_argument_group("where")
    server = where.add_mutually_exclusive_group()
    server.add_argument("--emulator", action="store_true", help="call the built-in emulator")
    server.add_argument("--base-url", metavar="URL", help="default: https://api.openai.com/v1")
    where.add_argument("--model", type=words, help="default: gpt-realtime-2.1")
    add_key(where)
    add_network(where)
    add_relay(where)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--connect-timeout", type=seconds, metavar="N", help="seconds to get through (10)"
    )
    add_config(how)
    how.add_argument("--json", action="store_true", help="one JSON object a line")
