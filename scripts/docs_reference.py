"""Make the reference: `docs_reference.py FOLDER`. Run by scripts/docs, in an environment with pdoc.

Only public names are in it, under the module from which users import them. The docstrings are plain
text for `help()`; lists in them are made lists of the page here.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pdoc
import pdoc.docstrings
import pdoc.render

MODULES = ["rtcvoice", "rtcvoice.blocking", "rtcvoice.emulator", "rtcvoice.events"]

MADE_BY_OTHERS = {"Call", "Reply"}
"""Classes whose objects users get, and do not make."""

WORD = r"""[\w*.=]+(?:"\w+")?"""
ENTRY = re.compile(rf"^(?P<indent>(?: {{4}})?)(?P<name>{WORD}(?:, {WORD})*): (?P<text>\S.*)$")
"""The first line of an entry of a list: "timeout: seconds that a call may take"."""

HEADING = re.compile(r"^[A-Z][^.]*:$")
"""What stands above a list: "Bounds:"."""


def main(folder: str) -> None:
    """Write the pages into `folder`."""
    modules = [name for name in MODULES if importlib.util.find_spec(name)]
    for name in modules:
        _load(importlib.import_module(name))
    pdoc.docstrings.convert = _convert(pdoc.docstrings.convert)  # type: ignore[assignment]
    pdoc.render.configure(
        docformat="markdown",
        search=True,
        show_source=True,
        footer_text=f"rtcvoice {importlib.import_module('rtcvoice').__version__}",
    )
    specifications = [spec for name in modules for spec in (name, f"!{re.escape(name)}[.]")]
    pdoc.pdoc(*specifications, output_directory=Path(folder))


def _load(module: ModuleType) -> None:
    """Import the public names of a module; give its classes what they inherit from private ones."""
    public = {name: getattr(module, name) for name in module.__all__}
    vars(module).update(public)
    for each in public.values():
        if isinstance(each, type) and each.__module__.startswith("rtcvoice"):
            _inherit(each, public)
            if each.__name__ in MADE_BY_OTHERS:
                each.__init__.__doc__ = "@private"  # type: ignore[misc]


def _inherit(each: type, public: dict[str, object]) -> None:
    for base in each.__mro__[1:]:
        if base.__module__.startswith("rtcvoice") and public.get(base.__name__) is not base:
            for name, member in vars(base).items():
                if not name.startswith("_") and name not in vars(each):
                    with suppress(AttributeError, TypeError):  # an enum, for example
                        setattr(each, name, member)


def _convert(convert):  # type: ignore[no-untyped-def]
    def converted(docstring: str, docformat: str, source_file: Path | None) -> str:
        return convert(as_markdown(docstring), docformat, source_file)

    return converted


def as_markdown(docstring: str) -> str:
    """Turn lists of "name: text", below a heading or at the margin, into lists of Markdown."""
    lines: list[str] = []
    heading = in_list = False
    given = docstring.splitlines()
    for line, below in itertools.zip_longest(given, given[1:], fillvalue=""):
        entry = ENTRY.match(line)
        if HEADING.match(line) and below.startswith("    "):
            heading, in_list = True, False
            lines += ["", f"*{line}*", ""]
        elif entry and (heading or not entry["indent"]):
            lines += [] if in_list else [""]
            lines.append(f"- **{entry['name']}**: {entry['text']}")
            in_list = True
        elif in_list and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        elif heading and line.startswith("    ") and not line.startswith("     "):
            lines.append(line.strip())
        else:
            lines += ["", line] if in_list else [line]
            in_list, heading = False, heading and not line.strip()
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1])
