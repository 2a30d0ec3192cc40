"""Scripts run in the project's .venv, whichever Python starts them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
IN_PYTHON = [
    path
    for path in sorted(SCRIPTS.iterdir())
    if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env python3")
]


def imported(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (name.name.split(".")[0] for name in statement.names)
    if isinstance(statement, ast.ImportFrom) and statement.module:
        yield statement.module.split(".")[0]


def is_in_venv(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func) == "in_venv"
    )


@pytest.mark.parametrize("script", [*IN_PYTHON, SCRIPTS / "in_venv.py"], ids=lambda path: path.name)
def test_a_script_imports_what_is_installed_in_the_venv_only_in_the_venv(script: Path) -> None:
    for statement in ast.parse(script.read_text("utf-8")).body:
        if is_in_venv(statement):
            break
        for name in imported(statement):
            assert name in sys.stdlib_module_names | {"in_venv"}, name
