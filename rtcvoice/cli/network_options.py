"""Options for where a server is, with what key it is called, and through which network."""

from __future__ import annotations

import argparse
from typing import Any

import rtcvoice
from rtcvoice.errors import ConfigError

__all__ = ["add_bad_network", "add_config", "add_key", "add_network", "add_relay", "network_from"]


def add_key(group: Any, *, token_url: bool = True) -> None:
    """Add where the key comes from, when it is not in the environment."""
    group.set_defaults(dot_env_error=None)
    group.add_argument("--api-key-file", metavar="FILE", help="where the key is, alone")
    if token_url:
        group.add_argument(
            "--token-url",
            metavar="URL",
            help="ask this address for a token, or with GPT-Live for a session; no key is needed",
        )


def add_network(group: Any) -> None:
    """Add how HTTP gets through."""
    group.add_argument(
        "--proxy",
        metavar="URL",
        help="for HTTP and for media by TCP, such as http://proxy:3128 (or HTTPS_PROXY)",
    )
    group.add_argument(
        "--ca-file", metavar="FILE", help="trust this CA as well (PEM); or SSL_CERT_FILE"
    )


def add_relay(group: Any) -> None:
    """Add how media gets through."""
    group.add_argument(
        "--ice-server",
        metavar="URL",
        action="append",
        dest="ice_servers",
        help="such as turn:user:password@host?transport=tcp (or RTCVOICE_ICE_SERVERS)",
    )
    group.add_argument(
        "--relay",
        action="store_const",
        const="relay",
        dest="ice_transport_policy",
        help="use no path but through the TURN server",
    )
    group.add_argument(
        "--downlink-bps",
        metavar="N",
        type=_line_rate,
        help="what the network brings down, in bits per second, where it is less than 60000",
    )
    group.add_argument(
        "--transport",
        choices=("auto", "webrtc", "websocket"),
        help="how the call travels (default: auto, what gets through, best first)",
    )


def _line_rate(text: str) -> float:
    from rtcvoice.config.checks import LEAST_BPS, line_rate  # late: --help need not wait for it

    try:
        return line_rate("", float(text))
    except (ValueError, ConfigError):
        words = f"{text[:40]!r} is no number of bits per second from {LEAST_BPS} on"
        raise argparse.ArgumentTypeError(words) from None


def add_bad_network(group: Any) -> None:
    """Add how bad the network is made."""
    group.add_argument(
        "--network",
        metavar="WORDS",
        type=_network,
        help="a bad one, for tests: wifi, mobile, far, or such as loss=5%%,uplink.delay=100ms",
    )


def _network(text: str) -> str:
    from rtcvoice.network.settings import Network  # late: hardly a call has one

    try:
        Network.of(text, "network")
    except ConfigError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
    return text


def add_config(group: Any) -> None:
    """Add the file with the usual options."""
    group.add_argument(
        "--config",
        metavar="FILE|none",
        help="usual options in TOML (default: rtcvoice/config.toml in ~/.config or %%APPDATA%%)",
    )


def network_from(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options above, as far as they were given, as `rtcvoice.connect` takes them."""
    from rtcvoice.config.dialect import is_live  # late: --help need not wait for it

    names = (
        *("base_url", "direct", "proxy", "ca_file"),
        *("ice_servers", "ice_transport_policy", "downlink_bps", "transport", "network"),
    )
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    key_file, token_url = (getattr(options, name, None) for name in ("api_key_file", "token_url"))
    if key_file is not None and token_url is not None:
        raise ConfigError("--api-key-file and --token-url are both given", hint="give one of them")
    if key_file is not None:
        given["credentials"] = rtcvoice.ApiKeyFile(key_file)
    if token_url is not None:
        live = is_live({"model": getattr(options, "model", None)})
        kind = rtcvoice.SessionUrl if live else rtcvoice.TokenUrl
        given["credentials"] = kind(token_url)
    return given
