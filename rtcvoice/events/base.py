"""What every typed object of the wire has in common: its tag, and how the unknown is kept.

Every struct is frozen, keyword-only, ignores fields it does not know (the service adds some
without notice) and leaves out on encode what is None. A tagged struct carries its wire `type` as
msgspec's tag, so one decoder for the union of all events picks the class in its single pass over
the text; `Tag` makes that tag readable as `event.type` and `SessionCreated.type`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias, dataclass_transform

import msgspec

__all__ = [
    "Count",
    "FromServer",
    "Seconds",
    "Tag",
    "Tagged",
    "UnknownEvent",
    "Whole",
    "Wire",
    "WireMeta",
]

Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""A whole number that every JSON reader has exactly; a larger one is none."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things: never negative, so that nothing can be made of a sum of them but more."""

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""A length of time."""


class Tag:
    """Reads the wire name of a tagged struct, from the class or from an instance."""

    def __get__(self, instance: object, owner: type[msgspec.Struct]) -> str:
        return str(owner.__struct_config__.tag)


class WireMeta(msgspec.StructMeta):
    """Makes every struct below frozen and keyword-only, which msgspec does not inherit."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> WireMeta:
        """The struct class, with those two defaults."""
        config = {"frozen": True, "kw_only": True, **config}
        return super().__new__(cls, name, bases, namespace, **config)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Wire(msgspec.Struct, metaclass=WireMeta, frozen=True, omit_defaults=True):
    """Base of every JSON object of the API: immutable, tolerant, silent about None."""


class Tagged(Wire, tag_field="type", tag=False):
    """Base of the objects that the wire tells apart by `type`."""

    type: ClassVar[Tag] = Tag()


class FromServer(Tagged):
    """Base of the server events; the service gives each an `event_id`, other servers may not."""

    event_id: str | None = None


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event that this version cannot type: nothing of it is lost.

    `type` is its wire name, empty when the text was not a JSON object with a string `type`.
    `data` is the whole object as it came, empty when there was none. `error` is None for a name
    we do not know and says what was wrong for everything else, such as an id that is missing.
    """

    type: str
    data: dict[str, Any]
    error: str | None = None

    @property
    def event_id(self) -> str | None:
        """The server's id of this event, if it has one."""
        value = self.data.get("event_id")
        return value if isinstance(value, str) else None
