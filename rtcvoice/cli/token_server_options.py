"""The options of `python -m rtcvoice token-server`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.figures import add_metrics
from rtcvoice.cli.network_options import add_key, add_network
from rtcvoice.cli.parser import count, port, words

__all__ = ["add_token_server"]

_DESCRIPTION = """\
Keep the API key on this machine and hand out ephemeral tokens, so that pages,
phones and other programs need no key. A token starts calls for ten minutes.

examples:
  %(prog)s --voice marin
      at http://127.0.0.1:8090/token, for programs on this machine; to call:
      python -m rtcvoice --token-url http://127.0.0.1:8090/token
  %(prog)s --allow-origin https://app.example
      for the pages of one site
  %(prog)s --session agent.yaml --allow voice
      the session is in a file; clients may choose its voice
  %(prog)s --host 0.0.0.0 --client-key-file keys.txt
      for other machines that show a key of yours
"""


def add_token_server(parser: argparse.ArgumentParser) -> None:
    """Add the options of `token-server`."""
    parser.description = _DESCRIPTION
    who = parser.add_argument_group("who may ask")
    who.add_argument("--port", type=port, default=8090, help="default: 8090; 0: any free port")
    who.add_argument(
        "--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine reaches"
    )
    who.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="pages of this origin may ask, such as https://app.example; '*': all",
    )
    who.add_argument(
        "--client-key-file",
        metavar="FILE",
        help="clients have to show one of its lines: Authorization: Bearer ...",
    )
    who.add_argument(
        "--per-minute", type=count, default=10, metavar="N", help="tokens for each client (10)"
    )
    who.add_argument(
        "--behind-proxy",
        action="store_true",
        help="a reverse proxy tells the client's address (X-Forwarded-For)",
    )
    who.add_argument(
        "--public-host",
        metavar="NAME",
        action="append",
        default=[],
        help="the name by which clients reach this server, such as tokens.example",
    )
    who.add_argument(
        "--open",
        action="store_true",
        help="with --host: give tokens to whoever reaches it, without client keys",
    )
    add_metrics(who)
    what = parser.add_argument_group("what they get")
    what.add_argument("--session", metavar="FILE", help="session options (JSON, or YAML as .yaml)")
    what.add_argument("--model", type=words, help="default: gpt-realtime-2.1")
    what.add_argument("--voice", type=words, help="such as marin or cedar")
    what.add_argument(
        "--instructions", type=words, metavar="TEXT", help="how the assistant is to behave"
    )
    what.add_argument(
        "--allow",
        metavar="OPTION",
        action="append",
        default=[],
        help="clients may choose this option, such as voice",
    )
    what.add_argument(
        "--token-seconds", type=count, metavar="N", help="a token starts calls for so long (600)"
    )
    what.add_argument(
        "--safety-identifier",
        metavar="TEXT",
        help="tells the provider who calls; 'per-client': a hash of each client's address",
    )
    where = parser.add_argument_group("the provider")
    where.add_argument("--base-url", metavar="URL", help="default: https://api.openai.com/v1")
    add_key(where, token_url=False)
    add_network(where)
