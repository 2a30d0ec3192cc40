"""A pytest plugin: `rtcvoice_emulator`, a local Realtime server for tests of your own agent.

    @pytest.mark.rtcvoice_emulator(script=[Turn(hears="Two pizzas.", says=("reply-1",))])
    def test_my_agent(rtcvoice_emulator):
        my_agent.main()      # OPENAI_BASE_URL and OPENAI_API_KEY lead to the emulator
        assert rtcvoice_emulator.last_call.from_client("conversation.item.create")

pytest loads this module in every run of an environment that has rtcvoice; so it imports nothing of
the package before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rtcvoice.emulator import BackgroundEmulator

__all__ = ["pytest_configure", "rtcvoice_emulator"]

MARKER = "rtcvoice_emulator"
KEY = "sk-emulator"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", f"{MARKER}(**options): options of rtcvoice.emulator.Emulator for the fixture"
    )


@pytest.fixture
def rtcvoice_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BackgroundEmulator]:
    """A Realtime server on loopback, on a thread of its own, for one test.

    During the test OPENAI_BASE_URL and OPENAI_API_KEY are its address and a key that it takes.
    Needs the extra: pip install "rtcvoice[emulator]".
    """
    from rtcvoice.emulator import BackgroundEmulator

    marker = request.node.get_closest_marker(MARKER)
    if marker is not None and marker.args:
        raise pytest.UsageError(
            f"{MARKER} takes options by name: @pytest.mark.{MARKER}(script=[Turn(...)])"
        )
    with BackgroundEmulator(**(marker.kwargs if marker else {})) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server
