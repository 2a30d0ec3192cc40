"""Every state machine has a table: whole, reachable, with a sentence a state, logged and held."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import logging
import pkgutil

import pytest

import rtcvoice
from rtcvoice.system import states as states_module
from rtcvoice.system.states import IllegalTransition, StateTable

for _module in pkgutil.walk_packages(rtcvoice.__path__, "rtcvoice."):
    if not _module.name.startswith(
        ("rtcvoice.emulator", "rtcvoice.cli", "rtcvoice.integrations", "rtcvoice.__main__")
    ):
        importlib.import_module(_module.name)

TABLES = sorted(states_module.TABLES, key=lambda table: table.states.__name__)
"""Not in the order of imports, which is another one in each worker."""
NAMES = [table.states.__name__ for table in TABLES]


def sentences(states: type) -> dict[str, str]:
    """Return, by member, its value where that is a sentence, or else the docstring behind it."""
    (definition,) = ast.parse(inspect.getsource(states)).body
    told: dict[str, str] = {}
    name = ""
    for node in definition.body:
        if isinstance(node, ast.Assign):
            name = node.targets[0].id
            told[name] = str(ast.literal_eval(node.value))
        elif name and isinstance(node, ast.Expr):
            told[name] = ast.literal_eval(node.value)
    return told


def test_the_machines_are_there():
    assert len(set(NAMES)) == len(NAMES)
    assert {
        "GateState",
        "LineState",
        "PlaybackState",
        "RequestState",
        "TransportStage",
        "Status",
    } <= {*NAMES}


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_every_state_is_in_the_table_and_can_be_reached(table):
    states, first = list(table.states), next(iter(table.states))
    reached, new = {first}, {first}
    while new:
        new = {b for a in new for b in states if table.allows(a, b)} - reached
        reached |= new
    assert reached == set(states)


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_every_state_has_a_sentence(table):
    for member, sentence in sentences(table.states).items():
        assert sentence.endswith((".", "why.")), member
        assert len(sentence.split()) > 1, member


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_each_transition_is_logged_and_any_other_raises(table, caplog):
    caplog.set_level(logging.DEBUG, "rtcvoice.system.states")
    for before, after in itertools.product(table.states, repeat=2):
        caplog.clear()
        if before is after:
            assert table.change(before, after, "it") is after
            assert not caplog.messages
        elif table.allows(before, after):
            assert table.change(before, after, "it") is after
            assert caplog.messages == [f"= it {before.name} -> {after.name}"]
        else:
            with pytest.raises(IllegalTransition, match=f"{before.name} -> {after.name}"):
                table.change(before, after, "it")


def test_in_a_call_what_is_not_in_the_table_is_an_error_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr(StateTable, "strict", False)
    table = next(table for table in TABLES if table.states.__name__ == "RequestState")
    done, queued = table.states.DONE, table.states.QUEUED
    assert table.change(done, queued, "request 1") is queued
    assert "RequestState of request 1: DONE -> QUEUED" in caplog.text
