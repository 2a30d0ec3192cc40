"""A page of figures for Prometheus, for programs that run long: http://127.0.0.1:PORT/metrics.

OpenTelemetry's SDK counts, and its exporter writes the page. Only programs of this machine reach
it, and no web page: a browser that was led here by another name is refused.
Needs the extra: pip install "rtcvoice[metrics]".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from rtcvoice.errors import ConfigError
from rtcvoice.masking import log_error

from . import names
from .attributes import scope_version

__all__ = ["MetricsPage"]

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
PATHS = ("/metrics", "/")
NAMES_OF_THIS_MACHINE = {HOST, "localhost"}

REQUEST_TIMEOUT = 5.0
"""Seconds that a request may take to come."""

Labels = Mapping[str, str | int]


class MetricsPage:
    """`with MetricsPage(9464) as page: page.url`; port 0 takes a free one.

    `provider` is a meter provider: what it counts is on the page. Raises ConfigError where the port
    cannot be had.
    """

    def __init__(self, port: int) -> None:
        reader = PrometheusMetricReader()  # it writes into the registry of the whole process
        self.provider = MeterProvider([reader], shutdown_on_exit=False)
        self._meter = self.provider.get_meter(names.SCOPE, scope_version())
        try:
            self._server = ThreadingHTTPServer((HOST, port), _Handler)
        except (OSError, OverflowError) as exc:
            self.provider.shutdown()
            raise ConfigError(
                f"no figures can be shown on port {port}: {getattr(exc, 'strerror', None) or exc}",
                hint="choose another port (0: any free port)",
            ) from exc
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="rtcvoice figures", daemon=True
        )

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._server.server_port}/metrics"

    def show_count(
        self, name: str, told: str, read: Callable[[], Iterable[tuple[int, Labels]]]
    ) -> None:
        """Show counts that only grow; `read` gives them with their labels, on another thread."""
        self._meter.create_observable_counter(name, [_observed(read)], description=told)

    def show_level(
        self, name: str, told: str, read: Callable[[], Iterable[tuple[int, Labels]]]
    ) -> None:
        """Show numbers that grow and shrink; as `show_count`."""
        self._meter.create_observable_gauge(name, [_observed(read)], description=told)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.provider.shutdown()


def _observed(
    read: Callable[[], Iterable[tuple[int, Labels]]],
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda options: [Observation(number, dict(labels)) for number, labels in read()]


class _Handler(BaseHTTPRequestHandler):
    """Answers each request with the page, or says why not."""

    timeout = REQUEST_TIMEOUT
    server_version, sys_version = "rtcvoice", ""

    def do_GET(self) -> None:
        if self.headers.get("Host", "").rpartition(":")[0] not in NAMES_OF_THIS_MACHINE:
            self._answer(403, b"ask for 127.0.0.1\n")
        elif self.path.partition("?")[0] not in PATHS:
            self._answer(404, b"the figures are at /metrics\n")
        else:
            try:
                page = generate_latest(REGISTRY)
            except Exception as exc:
                log_error(logger, exc, "x the page of figures cannot be made")
                self._answer(500, b"the page cannot be made\n")
            else:
                self._answer(200, page, CONTENT_TYPE_LATEST)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: somebody asks every few seconds."""

    def _answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
