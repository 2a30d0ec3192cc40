"""Loads the tools of `--tools FILE`: a Python file whose public functions the model may call."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from rtcvoice import ConfigError, ToolSet
from rtcvoice.cli import demo_tools
from rtcvoice.cli.parser import meant
from rtcvoice.errors import one_line
from rtcvoice.masking import masked

__all__ = ["load_tools"]

DEMO = "demo"
"""The name of the tools that are shipped."""


def load_tools(path: str | os.PathLike[str]) -> ToolSet:
    """Return the tools in a Python file, or the shipped ones for "demo". Raises ConfigError.

    `TOOLS` in the file (a list or a `ToolSet`) says which; else those in `__all__`, else every
    public function defined there. The file's folder is added to the end of `sys.path`, so that it
    may import its neighbours.
    """
    if path == DEMO:
        return _tools_of(demo_tools, DEMO)
    file = Path(path)
    if not _is_file(file):
        raise ConfigError(
            f"--tools {path}: there is no such file",
            hint=meant(str(path), [DEMO])
            or f"a Python file, or '{DEMO}' for the tools that are shipped",
        )
    if file.suffix != ".py":
        raise ConfigError(f"--tools {path} is not a Python file", hint="its name has to end in .py")
    return _tools_of(_imported(file), str(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or one with a zero byte
        return False


def _imported(file: Path) -> ModuleType:
    name = file.stem
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file.resolve()):
        return loaded
    if name in sys.modules or name in sys.stdlib_module_names or not name.isidentifier():
        raise ConfigError(
            f"--tools {file}: a module cannot be called {name!r} here", hint="rename the file"
        )
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None, "a file ending in .py has a loader"
    assert spec.loader is not None, "a file ending in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    # By this name, and from this folder, the process of a tool finds its function again.
    sys.modules[name] = module
    sys.path.append(str(file.resolve().parent))
    # stdout has the call's own words, events as JSON, or the audio: what a tool prints is none.
    module.__dict__["print"] = _print_to_stderr
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except BaseException as exc:
        del sys.modules[name]
        if isinstance(exc, KeyboardInterrupt):
            raise
        cause = masked(one_line(f"{type(exc).__name__}: {exc}"))
        raise ConfigError(
            f"--tools {file} cannot be imported: {cause}",
            hint=_place(exc, file),
        ) from exc
    return module


def _print_to_stderr(*values: object, file: Any = None, **options: Any) -> None:
    print(*values, file=file or sys.stderr, **options)


def _place(error: BaseException, file: Path) -> str:
    """Say which line of the file an error came from."""
    if isinstance(error, SyntaxError):
        return f"look at line {error.lineno} of it"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file.resolve())]
    return f"look at line {lines[-1]} of it" if lines else "look at the file"


def _tools_of(module: ModuleType, path: str) -> ToolSet:
    listed = getattr(module, "TOOLS", None)
    tools = ToolSet.of(_functions(module, path) if listed is None else listed)
    if not tools.definitions and not tools.servers:
        raise ConfigError(
            f"--tools {path} has no tools", hint="define functions, with types on all parameters"
        )
    return tools


def _functions(module: ModuleType, path: str) -> list[Callable[..., Any]]:
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
        found = {name: getattr(module, name) for name in names}
        return [each for each in found.values() if _is_own_function(each, module)]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"--tools {path}: __all__ is not a list of names", hint="__all__ = ['f']")
    for name in names:
        if not hasattr(module, name):
            raise ConfigError(f"--tools {path}: __all__ names {name!r}, which is not there")
    return [getattr(module, name) for name in names]


def _is_own_function(thing: Any, module: ModuleType) -> bool:
    """Whether it is a function of the file, as it is or decorated, such as by functools.cache."""
    if isinstance(thing, type) or not callable(thing):
        return False
    own = getattr(thing, "__module__", None) == module.__name__
    return own and inspect.isfunction(inspect.unwrap(thing))
