"""`--tools FILE`: which functions are taken, and what is said of a file that has none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtcvoice import ConfigError
from rtcvoice.cli import demo_tools
from rtcvoice.cli.tool_files import load_tools


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    names, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - names:
        del sys.modules[name]
    sys.path[:] = path


def written(folder: Path, text: str, name: str = "my_own_tools.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


async def test_the_shipped_tools_work() -> None:
    tools = load_tools("demo")
    assert [tool.name for tool in tools] == ["add", "remember", "weather"]
    assert all("description" in definition for definition in tools.definitions)
    assert demo_tools.add(2, 3) == 5
    assert demo_tools.remember("milk") == demo_tools.remember() == ["milk"]
    told, small, warm = await asyncio.gather(
        demo_tools.weather("Ulm"),
        demo_tools.weather("ulm"),
        demo_tools.weather("Ulm", "fahrenheit"),
    )
    assert told == small | {"city": "Ulm"}
    assert warm["degrees"] == round(told["degrees"] * 9 / 5 + 32)


def test_public_functions_are_tools_and_what_is_imported_is_not(tmp_path: Path) -> None:
    written(tmp_path, "TEXT = 'hello'\n", "my_neighbour.py")
    path = written(
        tmp_path,
        "from __future__ import annotations\n"
        "from os.path import join\n"
        "from my_neighbour import TEXT\n"
        "class Thing: ...\n"
        "def _helper(x): ...\n"
        "def greet(name: str) -> str:\n    return TEXT\n"
        "async def wait(seconds: float = 1) -> None: ...\n",
    )
    assert [tool.name for tool in load_tools(path)] == ["greet", "wait"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("__all__ = ['b']\ndef a(x): ...\ndef b() -> None: ...\n", ["b"]),
        ("def a(x): ...\ndef b() -> None: ...\nTOOLS = [b]\n", ["b"]),
        (
            "import functools\n@functools.cache\ndef a(x: int) -> int: ...\n"
            "bound = functools.partial(a, 1)\nclass B:\n    def __call__(self): ...\nb = B()\n",
            ["a"],
        ),
        (
            "import rtcvoice\ndef b() -> None: ...\nTOOLS = rtcvoice.ToolSet([b], timeout=1)\n",
            ["b"],
        ),
    ],
)
def test_a_file_may_say_which(tmp_path: Path, text: str, names: list[str]) -> None:
    assert [tool.name for tool in load_tools(written(tmp_path, text))] == names


@pytest.mark.parametrize(
    ("text", "cause", "cure"),
    [
        ("x = 1\n", "has no tools", "define functions"),
        ("def f(:\n", "SyntaxError", "line 1"),
        ("\n\n1 / 0\n", "ZeroDivisionError", "line 3"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3", "line 2"),
        ("import no_such_module_at_all\n", "No module named", "line 1"),
        ("def f(x): ...\n", "tool f: parameter 'x' has no type", "x: str"),
        ("__all__ = ['gone']\n", "'gone', which is not there", ""),
        ("TOOLS = 5\n", "not a list", ""),
        ("__all__ = 5\n", "__all__ is not a list", ""),
        ("__all__ = [5]\n", "__all__ is not a list", ""),
        ("raise ValueError('sk-0123456789\\x1b[2J')\n", "ValueError: sk-***[2J", "line 1"),
    ],
)
def test_a_file_without_usable_tools_is_explained(
    tmp_path: Path, text: str, cause: str, cure: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools(written(tmp_path, text))
    assert cause in caught.value.message
    assert cure in caught.value.hint


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("tools.txt", "not a Python file"),
        ("random.py", "cannot be called 'random'"),
        ("my-tools.py", "cannot be called 'my-tools'"),
    ],
)
def test_a_file_that_cannot_be_a_module_is_refused(tmp_path: Path, name: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools(written(tmp_path, "", name))
    assert cause in caught.value.message
    assert caught.value.hint


def test_a_missing_file_is_named_with_the_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools(tmp_path / "gone.py")
    assert "gone.py: there is no such file" in caught.value.message
    assert "'demo'" in caught.value.hint
