"""Modules of aioice that a call has no use for, imported when they are used after all.

aioice asks mDNS for names ending in .local, and imports a DNS library for it: with all that it
brings along as long as everything else of aioice's. Candidates of that kind are browsers'; a
Realtime server has none.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # importing it takes longer than all that is here

__all__ = ["import_mdns_later"]

_MDNS = "aioice.mdns"
_one_at_a_time = threading.RLock()
_NAME = re.compile(r"^[a-zA-Z0-9-]{1,63}\.local$")


class _LaterModule(ModuleType):
    """Stands for `aioice.mdns` until more of it is wanted than to know such a name."""

    MDnsProtocol: Any = Any
    """In the annotation of a function, which is all that importing aioice asks of it."""

    @staticmethod
    def is_mdns_hostname(name: str) -> bool:
        """Whether a name is one that mDNS is asked for (RFC 6762 §3)."""
        return _NAME.match(name) is not None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with _one_at_a_time:
            if isinstance(self, _LaterModule):
                assert isinstance(self.__loader__, _LaterLoader)
                self.__loader__.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]
        return getattr(self, name)


class _LaterLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LaterModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing yet."""


class _Finder:
    """Finds one module, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where it is; None leaves it to the others, as for all other modules."""
        if name != _MDNS:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _LaterLoader(spec.loader)
        return spec


def import_mdns_later() -> None:
    """Have `import aioice` leave out its mDNS; without effect where that is imported already."""
    if _MDNS not in sys.modules:
        sys.meta_path.insert(0, _Finder())
