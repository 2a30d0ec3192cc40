"""What a type checker tells users of the public names; and that these say what they are."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import rtcvoice
from rtcvoice import blocking
from rtcvoice.conversation.asking.response_options import SpokenOptions
from rtcvoice.events import ResponseParams

ROOT = Path(rtcvoice.__file__).parent.parent
PROGRAMS = Path(__file__).parent / "typed" / "programs.py"
SAID = re.compile(r"\.py:(\d+): (note|error): (.*)$", re.MULTILINE)

INHERENT = re.compile(r"\b(Coroutine|Generator)\[Any, (Any|None), ")
"""What a coroutine sends and takes is nobody's business."""

ANYTHING = {
    "rtcvoice.ToolCall.arguments",  # what the user's own function takes
    "rtcvoice.ToolStarted.arguments",
    "rtcvoice.Prepared.options",  # `prepare` makes it, and shows them to checkers
    "rtcvoice.ToolSet.definitions",  # JSON, to be read on
}


def short(line: str) -> str:
    """Shorten what mypy says to what the comments have."""
    revealed = re.fullmatch(r'Revealed type is "(.*)"', line)
    if revealed is None:
        return "E: " + line.rpartition("[")[2].removesuffix("]")
    name = re.sub(r"\b(?:\w+\.)+(?=\w)", "", revealed[1])  # modules
    return "R: " + re.sub(r"Literal\[('\w+')\]", r"\1", name)


def test_mypy_sees_what_users_get() -> None:
    api = pytest.importorskip("mypy.api")
    # With the cache of the whole project, where there is one.
    out, err, _ = api.run([f"--config-file={ROOT / 'pyproject.toml'}", str(PROGRAMS)])
    assert not err
    wanted = {
        (number, said.strip())
        for number, line in enumerate(PROGRAMS.read_text().splitlines(), 1)
        for said in line.split("  # ")[1:]
        if said.startswith(("R: ", "E: "))
    }
    found = {
        (int(number), short(text))
        for number, kind, text in SAID.findall(out)
        if kind == "error" or text.startswith("Revealed")
    }
    assert found == wanted


def signatures(path: str, thing: object) -> Iterator[tuple[str, object]]:
    """Give the annotations that a checker goes by, of a function the overloads if it has some."""
    if isinstance(thing, property):
        thing = thing.fget
    elif isinstance(thing, staticmethod | classmethod):
        thing = thing.__func__
    if inspect.isfunction(thing) and thing.__module__.startswith("rtcvoice"):
        for function in typing.get_overloads(thing) or [thing]:
            for name, annotation in inspect.get_annotations(function).items():
                yield f"{path}.{name}" if path.endswith("__init__") else path, annotation


def surface() -> Iterator[tuple[str, object]]:
    for module in (rtcvoice, blocking):
        for name in module.__all__:
            thing, path = getattr(module, name), f"{module.__name__}.{name}"
            if not isinstance(thing, type):
                yield from signatures(path, thing)
                continue
            for member, value in inspect.getmembers_static(thing):
                if not member.startswith("_") or member in ("__iter__", "__aiter__", "__init__"):
                    yield from signatures(f"{path}.{member}", value)
            for member, annotation in inspect.get_annotations(thing).items():
                if not member.startswith("_"):
                    yield f"{path}.{member}", annotation


def test_nothing_public_is_any() -> None:
    found = {
        path.replace(".__init__", "")
        for path, annotation in surface()
        if re.search(r"\bAny\b", INHERENT.sub("", str(annotation)))
    }
    assert found == ANYTHING


def test_the_options_of_a_response_are_those_of_the_api() -> None:
    assert SpokenOptions.__annotations__.keys() == set(ResponseParams.__struct_fields__)


def test_a_reply_shows_only_what_is_for_users() -> None:
    names = {name for name in dir(rtcvoice.Reply) if not name.startswith("_")}
    inner = {"begin", "feed", "give_up", "settle", "record", "recording", "item_over", "played_out"}
    assert not names & inner
