"""`--metrics PORT`: a page of figures for Prometheus while a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rtcvoice.cli.output import write_line
from rtcvoice.cli.parser import port
from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra

if TYPE_CHECKING:
    from rtcvoice.telemetry.prometheus import MetricsPage

__all__ = ["add_metrics", "figures"]


def add_metrics(group: Any) -> None:
    """Add where figures are shown."""
    group.add_argument(
        "--metrics",
        type=port,
        metavar="PORT",
        help="show figures for Prometheus at http://127.0.0.1:PORT/metrics (0: any free port)",
    )


@contextmanager
def figures(options: argparse.Namespace) -> Iterator[MetricsPage | None]:
    """Show figures inside the block, if they are wanted; calls tell theirs to `options.telemetry`.

    Raises ConfigError where a package is missing, or the port cannot be had.
    """
    if options.metrics is None:
        yield None
        return
    try:
        from rtcvoice.telemetry.prometheus import MetricsPage
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        if package not in ("opentelemetry", "prometheus_client"):
            raise
        raise ConfigError(
            f"--metrics needs packages that are not installed: {exc.name}",
            hint=install_extra("metrics"),
        ) from exc
    from rtcvoice import Telemetry

    with MetricsPage(options.metrics) as page:
        options.telemetry = Telemetry(meter_provider=page.provider)
        write_line(sys.stderr, f"figures at {page.url}")
        yield page
