"""What the pages say is true: their code runs and type-checks, commands, links and files exist."""

from __future__ import annotations

import importlib
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest

import rtcvoice
from rtcvoice.cli.exit_codes import EXIT_CODES
from rtcvoice.cli.options import parse
from rtcvoice.emulator import BackgroundEmulator, Pace, Turn, prompt_path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "rtcvoice").rglob("*.md"))
SCRIPT_PAGES = [
    page for page in sorted((ROOT / "scripts").rglob("*.md")) if "node_modules" not in page.parts
]
PAGES = [README, *GUIDES, *SCRIPT_PAGES]

# Rooms that a user meets: each has a guide beside its code, and the README leads to it.
ROOMS = [
    "call",
    "call_server",
    "capture",
    "capture/echo",
    "cli",
    "conversation",
    "conversation/accounts",
    "conversation/tools",
    "device",
    "doctor",
    "emulator",
    "events",
    "integrations",
    "live",
    "network",
    "playout",
    "recording",
    "rest",
    "telemetry",
    "token_server",
    "translation",
]

LONGEST_README = 1800
"""Words. What is new belongs into the guide of its room."""


def _blocks(language: str) -> dict[str, str]:
    """Return the code of all pages in a language, each by its page and its number there."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        name = page.relative_to(ROOT).as_posix().removeprefix("rtcvoice/").removesuffix(".md")
        found |= {f"{name}:{number}": block for number, block in enumerate(blocks)}
    return found


PYTHON = _blocks("python")
PROGRAMS = {name: code for name, code in PYTHON.items() if "def test_" not in code}
COMMANDS = [
    shlex.split(line, comments=True)
    for block in _blocks("sh").values()
    for line in block.splitlines()
    if line.strip()
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_code_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: a new one for each block would spend most of its time with imports."""
    code = PROGRAMS[name]
    (tmp_path / "question.wav").symlink_to(prompt_path("stop"))  # the shortest
    monkeypatch.chdir(tmp_path)
    with BackgroundEmulator(
        audio="real-time" if "call.audio()" in code else "instant",
        script=[Turn(says=("it-is-done",))] * 3,
        pace=Pace(response_latency=0.05),
    ) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-readme")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setattr(rtcvoice.CallServer, "serve", _serve_a_moment)
        exec(compile(code, name, "exec"), {"__name__": "__main__"})


async def _serve_a_moment(server: rtcvoice.CallServer) -> None:
    """Serve until the page was seen: the programs of the pages would go on for ever.

    At a free port: that of a page may be taken on the machine of the tests.
    """
    server._port = 0
    async with server, aiohttp.ClientSession() as http, http.get(server.url) as page:
        assert page.status == 200


def test_tests_run(tmp_path: Path) -> None:
    """With pytest in a process of its own, as users do."""
    tests = [code for name, code in PYTHON.items() if name not in PROGRAMS]
    tests.append((ROOT / "scripts" / "examples" / "test_own_agent.py").read_text())
    for number, code in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_type_checks(tmp_path: Path) -> None:
    for name, code in PYTHON.items():
        (tmp_path / f"page_{re.sub(r'[^a-z0-9]', '_', name.lower())}.py").write_text(code)
    for example in (ROOT / "scripts" / "examples").glob("*.py"):
        (tmp_path / example.name).write_text(example.read_text())
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", ROOT / ".mypy_cache"]
    done = subprocess.run(
        [*command, "--config-file", ROOT / "pyproject.toml", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _ours(words: list[str]) -> list[str]:
    """Return the part of a pipe that is rtcvoice, without where its output goes; else all."""
    line = " ".join("|" if word == "|" else shlex.quote(word) for word in words)
    for part in line.split(" | "):
        split = shlex.split(part)
        if split[0] == "rtcvoice":
            return list(itertools.takewhile(lambda word: word not in (">", "<"), split))
    return words


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words[:5]) for words in COMMANDS])
def test_commands_exist(words: list[str]) -> None:
    ours = _ours(words)
    if ours[0] == "rtcvoice":
        assert callable(parse(ours[1:]).run)
    elif ours[0].startswith("scripts/"):
        assert (ROOT / ours[0]).stat().st_mode & 0o111
    else:
        assert ours[0] in (".venv/bin/pip", "python3", ".", "export")


def test_commands_in_sentences_exist() -> None:
    for page in PAGES:
        for command in re.findall(r"`(rtcvoice(?: [^`]*)?)`", page.read_text(encoding="utf-8")):
            if re.search(r"[A-Z]{3,}|--version|--help| help", command):  # a placeholder, or help
                continue
            assert callable(parse(shlex.split(command)[1:]).run), f"{page}: {command}"


def test_the_exit_codes_named_are_the_ones_used() -> None:
    guide = (ROOT / "rtcvoice" / "cli" / "README.md").read_text(encoding="utf-8")
    named = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", guide, re.MULTILINE)
        for code in row.split(",")
    }
    assert named >= {code for _, code in EXIT_CODES if code > 1}


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            assert target.startswith("https://www.w3.org/"), f"does {target} exist?"
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page}: {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page}: {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / target).resolve() for target in targets]
    assert set(PAGES) <= reached


def test_rooms_that_users_meet_have_a_guide() -> None:
    assert [room for room in ROOMS if not (ROOT / "rtcvoice" / room / "README.md").is_file()] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= LONGEST_README


def test_what_is_not_yet_stands_at_the_top() -> None:
    words = README.read_text(encoding="utf-8").split("## ", maxsplit=1)[0]
    assert "not yet been run against OpenAI's service" in words


def test_lists_in_docstrings_become_lists_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    for name in ("pdoc", "pdoc.docstrings", "pdoc.render"):  # the reference alone needs it
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    reference = importlib.import_module("docs_reference")
    text = """What.

Bounds:
    most: how many
        at a time.
    cost, price="own": dollars

Map:

    a/  -> b

It ends: so."""
    lines = [line for line in reference.as_markdown(text).splitlines() if line]
    assert lines == [
        "What.",
        "*Bounds:*",
        "- **most**: how many",
        "  at a time.",
        '- **cost, price="own"**: dollars',
        "Map:",
        "    a/  -> b",
        "It ends: so.",
    ]


def test_pages_prompts_and_types_are_in_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["rtcvoice"]
    package = ROOT / "rtcvoice"
    carried = {file for pattern in patterns for file in package.glob(pattern)}
    others = {
        file for file in package.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert set(GUIDES) <= carried
    assert package / "py.typed" in carried
    assert others <= carried
