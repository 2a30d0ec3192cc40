"""The options of `batch` and `load`."""

from __future__ import annotations

import argparse
from typing import Any

from rtcvoice.cli.network_options import add_bad_network
from rtcvoice.cli.parser import above_zero, count, seconds

__all__ = ["add_batch", "add_load"]

_BATCH = """\
Make many calls, as a file says, and keep what became of each: turns, tools,
waits, costs, a recording, and a report of all.

examples:
  %(prog)s calls.yaml --emulator
      a dry run: free, without a key
  %(prog)s calls.yaml --trials 5 --max-cost 20
      five of each, and not above 20 US dollars
  %(prog)s calls.yaml --out runs/nightly --resume
      go on with a run that was stopped
  %(prog)s calls.yaml --dask tcp://scheduler:8786
      on a cluster; its workers have the key in their environment

A file of calls (YAML, JSON, or JSON lines with a call in each):

  options: {instructions: Be brief.}
  calls:
    - scenario: greeting
      steps: [{say: hello.wav}, {listen: 20}, {write: Goodbye.}]

The exit code is 9 when not all calls completed.
"""

_LOAD = """\
Load your own server with calls, and see how well each of them was heard.

examples:
  %(prog)s --calls 200 --ramp 10 \\
      --base-url http://127.0.0.1:8080/v1
      200 calls at once, ten more each second
  %(prog)s --calls 20 --file talk.yaml \\
      --base-url http://127.0.0.1:8080/v1
      what each caller does is in a file, as for batch

The service of the model's vendor is not yours: it is refused. A server on
another machine is called only with --i-may-load-this-server.
"""


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add the options of `batch`."""
    parser.description = _BATCH
    parser.usage = "%(prog)s FILE [options]"
    parser.set_defaults(dot_env_error=None)
    parser.add_argument("file", metavar="FILE", help="what the calls are to be")
    parser.add_argument(
        "--trials", type=count, metavar="K", help="each call so many times, with other seeds"
    )
    _add_kept(parser)
    parser.add_argument("--resume", action="store_true", help="do not repeat what is in --out")
    where = parser.add_argument_group("where")
    server = where.add_mutually_exclusive_group()
    server.add_argument(
        "--emulator", action="store_true", help="call an emulator: no key, no network, no costs"
    )
    server.add_argument("--base-url", metavar="URL", help="default: as the file says")
    where.add_argument("--script", metavar="FILE", help="with --emulator: what is answered (YAML)")
    where.add_argument("--model", help="in place of what the file says")
    add_bad_network(where)
    where.add_argument(
        "--dask", metavar="ADDRESS", help="make the calls on a Dask cluster; its address runs code"
    )
    _add_size(parser)
    bounds = parser.add_argument_group("bounds")
    bounds.add_argument("--max-cost", type=above_zero, metavar="USD", help="of the whole run")
    bounds.add_argument("--tokens-per-minute", type=count, metavar="N", help="begin no more above")
    bounds.add_argument("--starts", type=above_zero, metavar="N", help="calls begun in a second")


def add_load(parser: argparse.ArgumentParser) -> None:
    """Add the options of `load`."""
    parser.description = _LOAD
    parser.set_defaults(dot_env_error=None)
    parser.add_argument("--calls", type=count, default=10, metavar="N", help="at once (10)")
    parser.add_argument(
        "--ramp", type=above_zero, default=10.0, metavar="N", help="calls begun in a second (10)"
    )
    parser.add_argument(
        "--seconds", type=seconds, default=30.0, metavar="N", help="that each call lasts (30)"
    )
    parser.add_argument("--file", metavar="FILE", help="what the callers do, as for batch")
    parser.add_argument("--base-url", metavar="URL", required=True, help="your server")
    parser.add_argument("--model", help="as your server calls it")
    add_bad_network(parser)
    parser.add_argument(
        "--i-may-load-this-server",
        action="store_true",
        help="it is mine, or its owner has agreed: for servers beyond this machine",
    )
    _add_kept(parser)
    parser.add_argument("--processes", type=count, metavar="N", help="default: one for each core")


def _add_kept(group: Any) -> None:
    group.add_argument("--out", metavar="DIR", help="default: runs/ and the time")
    group.add_argument("--no-record", action="store_true", help="keep no recording of each call")


def _add_size(parser: argparse.ArgumentParser) -> None:
    size = parser.add_argument_group("how many at once")
    size.add_argument("--processes", type=count, metavar="N", help="default: one for each core")
    size.add_argument("--calls", type=count, metavar="N", help="default: 8 for each process")
