"""Reads YAML from outside: plain values alone, and no number that nobody means."""

from __future__ import annotations

from typing import Any

import yaml

from rtcvoice.system.whole_numbers import MOST_DIGITS, too_long

__all__ = ["PlainLoader", "read_yaml"]


class PlainLoader(yaml.SafeLoader):
    """As PyYAML's, but whole numbers are bounded, in every way that YAML has to write them."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node. Raises yaml.YAMLError, ValueError, RecursionError.

        A value with a tag that it does not fit, such as `!!bool x`, is a KeyError of PyYAML's.
        """
        try:
            return super().construct_object(node, deep)
        except (LookupError, AttributeError, TypeError) as exc:
            cause, mark = f"this is no {node.tag.rpartition(':')[2]:.80}", node.start_mark
            raise yaml.constructor.ConstructorError(None, None, cause, mark) from exc

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """Return the number of a node. Raises yaml.YAMLError with its line."""
        text = str(self.construct_scalar(node))
        if len(text) > MOST_DIGITS:
            mark = node.start_mark
            raise yaml.constructor.ConstructorError(None, None, too_long(text), mark)
        return int(self.construct_yaml_int(node))


PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.whole_number)


def read_yaml(text: str) -> Any:
    """Return the values of a text. Raises yaml.YAMLError, ValueError, RecursionError."""
    return yaml.load(text, PlainLoader)  # noqa: S506 - it makes plain values alone
