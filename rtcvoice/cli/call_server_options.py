"""The options of `python -m rtcvoice call-server`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.network_options import add_key, add_network
from rtcvoice.cli.parser import count, port, words
from rtcvoice.cli.session_options import add_assistant, add_limits, add_live, add_tools

__all__ = ["add_call_server"]

_DESCRIPTION = """\
A web page to talk with, and the server behind it. The page's audio goes
straight to the model; key, instructions and tools stay on this machine.

examples:
  %(prog)s --emulator --open
      to try it: no key, no network, free; your browser opens
  %(prog)s --open --tools FILE --voice cedar
      at http://127.0.0.1:8088/, for this machine, with functions of yours
  %(prog)s --host 0.0.0.0 --open-to-all \\
      --cert cert.pem --key key.pem
      for phones in the same network: a microphone needs HTTPS
  %(prog)s --behind-proxy --open-to-all \\
      --public-host talk.example
      behind a web server that does HTTPS and says who comes in
"""


def add_call_server(parser: argparse.ArgumentParser) -> None:
    """Add the options of `call-server`."""
    parser.description = _DESCRIPTION
    page = parser.add_argument_group("the page")
    page.add_argument("--open", action="store_true", help="open it in the browser")
    page.add_argument("--title", type=words, default="Talk", metavar="TEXT", help="its heading")
    page.add_argument(
        "--push-to-talk", action="store_true", help="be heard only while a button is held"
    )
    page.add_argument(
        "--record", metavar="DIR", help="keep what is said and done, of those who agree on the page"
    )
    session = parser.add_argument_group("the session")
    add_assistant(session)
    add_tools(session)
    add_live(session)
    add_limits(session)
    who = parser.add_argument_group("who may call")
    who.add_argument("--port", type=port, default=8088, help="default: 8088; 0: any free port")
    who.add_argument(
        "--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine reaches"
    )
    who.add_argument("--cert", metavar="FILE", help="for HTTPS: the certificate (PEM)")
    who.add_argument("--key", metavar="FILE", help="for HTTPS: its key (PEM)")
    who.add_argument(
        "--open-to-all",
        action="store_true",
        help="with --host or --public-host: whoever reaches the page may call, at your expense",
    )
    who.add_argument(
        "--public-host",
        metavar="NAME",
        action="append",
        default=[],
        help="the name by which browsers reach this server, such as talk.example",
    )
    who.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="pages of this origin may call as well, such as https://app.example",
    )
    who.add_argument(
        "--behind-proxy",
        action="store_true",
        help="a reverse proxy does HTTPS, and tells the client's address (X-Forwarded-For)",
    )
    who.add_argument(
        "--most-calls", type=count, default=20, metavar="N", help="calls at a time in all (20)"
    )
    who.add_argument(
        "--per-minute", type=count, default=6, metavar="N", help="calls of each caller (6)"
    )
    where = parser.add_argument_group("the provider")
    where.add_argument(
        "--emulator", action="store_true", help="a server on this machine takes its place: free"
    )
    where.add_argument(
        "--script", metavar="FILE", help="with --emulator: what is said and answered (YAML)"
    )
    where.add_argument("--base-url", metavar="URL", help="default: https://api.openai.com/v1")
    add_key(where, token_url=False)
    add_network(where)
    parser.set_defaults(api_key=None)
