"""The options of `python -m rtcvoice emulator`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.figures import add_metrics
from rtcvoice.cli.parser import port

__all__ = ["add_emulator"]

_DESCRIPTION = """\
Run a local Realtime and GPT-Live server over real WebRTC. Any key that begins
with sk- is accepted. It speaks in recorded prompts, and knows from its script
what is said.

examples:
  %(prog)s
      at http://127.0.0.1:8080/v1, until Ctrl-C
  %(prog)s --port 0 --script shop.yaml
      on any free port, with what is said and answered in a file
  %(prog)s --record calls --fault frozen_after=5
      keeps events and audio of each call, and is gone after 5 s
  %(prog)s --fault 'network={downlink: {loss: 0.1}}'
      loses a tenth of what it says
"""


def add_emulator(parser: argparse.ArgumentParser) -> None:
    """Add the options of `emulator`."""
    parser.description = _DESCRIPTION
    parser.add_argument("--port", type=port, default=8080, help="default: 8080; 0: any free port")
    parser.add_argument(
        "--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine reaches"
    )
    parser.add_argument("--script", metavar="FILE", help="what is said and answered (YAML)")
    parser.add_argument(
        "--voice",
        metavar="NAME",
        default="prompts",
        help="prompts (the default), or a synthesizer that is installed: flite, espeak-ng, say",
    )
    parser.add_argument(
        "--audio",
        choices=("real-time", "instant"),
        default="real-time",
        help="instant: answers are silent and over at once, for tests of your own agent",
    )
    parser.add_argument(
        "--idle",
        choices=("rtp", "gap"),
        default="rtp",
        help="between answers send silence (rtp, the default) or nothing (gap)",
    )
    parser.add_argument(
        "--no-udp", action="store_true", help="take media by TCP alone, as behind a firewall"
    )
    parser.add_argument("--record", metavar="DIR", help="keep the events and audio of each call")
    add_metrics(parser)
    parser.add_argument(
        "--origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="let web pages of ORIGIN call (may be repeated); pages of this machine may",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        action="append",
        default=[],
        help="take this model's name, too (may be repeated); '*' takes every name",
    )
    parser.add_argument(
        "--fault",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="make something go wrong (may be repeated); a wrong NAME lists all",
    )
    parser.add_argument(
        "--gpt-live",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="how GPT-Live sessions behave (may be repeated); a wrong NAME lists all",
    )
