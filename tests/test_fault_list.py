"""The quick rows of the fault list, one for each part at least; `scripts/faults` plays all."""

from __future__ import annotations

from collections import Counter

import pytest
from faults import ROWS
from faults.playing import play
from faults.row import Where

QUICK = [row for row in ROWS if row.quick]
PATIENCE = 10.0
"""Seconds that a busy machine may be late; `scripts/faults` has none."""


@pytest.fixture(scope="module", autouse=True)
def what_a_process_has_once():
    """Imports, threads and caches of the first call; of the others nothing may be left."""
    play(QUICK[0])


@pytest.mark.parametrize("row", QUICK, ids=str)
def test_after_the_fault_comes_what_must(row):
    seen = play(row, patience=PATIENCE)
    assert seen.right, f"must: {row.must}; seen: {seen.words}, {seen.seconds:.2f} s"


def test_every_part_is_struck_and_every_fault_is_there_once():
    assert len(ROWS) >= 60
    assert {row.where for row in ROWS} == set(Where)
    assert {row.where for row in QUICK} == set(Where)
    assert max(Counter(map(str, ROWS)).values()) == 1
