"""The programs in scripts/examples do what they say, against the emulator."""

from __future__ import annotations

import importlib.util
import io
import wave
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from live import again_if_late

from rtcvoice.emulator import BackgroundEmulator, Turn, prompt_path

EXAMPLES = Path(__file__).parent.parent / "scripts" / "examples"


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    with BackgroundEmulator(audio="instant") as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-examples")
        yield running


def test_every_example_is_tried_here() -> None:
    """test_own_agent.py is run by test_readme.py, with the tests of the pages."""
    text = Path(__file__).read_text()
    assert [file.stem for file in EXAMPLES.glob("*.py") if file.stem not in text] == []


async def test_agent_with_tools(server: BackgroundEmulator) -> None:
    answer = await _example("agent_with_tools").ask("What is the weather in Ulm?")
    assert "Ulm" in answer
    assert "21" in answer


async def test_agent_with_tools_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    await _example("agent_with_tools").main(["--emulator", "What", "is", "the", "weather?"])
    assert "sunny" in capsys.readouterr().out


@again_if_late
async def test_transcript_to_file(server: BackgroundEmulator, tmp_path: Path) -> None:
    written = tmp_path / "talk.txt"
    lines = await _example("transcript_to_file").write_down(prompt_path("stop"), written)
    assert lines == 1
    assert written.read_text() == "Stop, please.\n"


async def test_fastapi_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    monkeypatch.setenv("CLIENT_KEYS", "secret1,secret2")
    module = _example("fastapi_endpoint")
    with BackgroundEmulator(script=[Turn(says=("one-moment",))]) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-examples")
        http = httpx.AsyncClient(
            transport=httpx.ASGITransport(module.app), base_url="http://testserver"
        )
        async with http:
            ask = {"url": "/ask", "json": {"text": "Hello!"}}
            key = {"Authorization": "Bearer secret1"}
            assert (await http.post(**ask)).status_code == 401
            wrong = {"Authorization": "Bearer sécret".encode()}
            assert (await http.post(**ask, headers=wrong)).status_code == 401
            long = {"text": "x" * 501}
            assert (await http.post("/ask", json=long, headers=key)).status_code == 422
            answer = await http.post(**ask, headers=key)
            assert answer.status_code == 200
            with wave.open(io.BytesIO(answer.content)) as wav:
                assert wav.getnframes() > wav.getframerate() / 2
            module._times["secret1"].extend([module.time.monotonic()] * module.CALLS_PER_MINUTE)
            assert (await http.post(**ask, headers=key)).status_code == 429
            assert len(running.calls) == 1  # nothing was spent on those that were refused


def test_robot_without_asyncio(server: BackgroundEmulator) -> None:
    module = _example("robot_without_asyncio")
    moves = []
    module.drive(
        lambda *move: moves.append(move), "Please move left.", source=None, sink=None, idle=1.0
    )
    assert [direction for direction, _ in moves] == ["left"]
