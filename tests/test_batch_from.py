"""Scenario sets of others become files for `batch`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rtcvoice.fleet.spec_file import read_specs

SCRIPT = Path(__file__).parent.parent / "scripts" / "batch_from"
TOOL = {"type": "function", "name": "order", "parameters": {"type": "object", "properties": {}}}


def converted(folder: Path, *arguments: str) -> list:
    (folder / "tools.json").write_text(json.dumps([TOOL]))
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments, "--tools", folder / "tools.json"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    (folder / "calls.json").write_text(done.stdout)
    return read_specs(folder / "calls.json")


def test_sentences_with_the_call_that_they_are_to_bring_about(tmp_path: Path) -> None:
    head = "example_id,user_text,gt_tool_call,gt_tool_call_arg"
    rows = [head, 'a 1,"Order, please.",order,"{""n"": 1}"', "b,Thanks.,,", ""]
    (tmp_path / "data.csv").write_text("\n".join(rows))
    asks, thanks = converted(tmp_path, "realtime-evals", "data.csv")
    assert (asks.scenario, asks.steps[0].speak) == ("a-1", "Order, please.")
    assert asks.checks[0].called.arguments == {"n": 1}
    assert thanks.checks[0].not_called == "order"
    written, _ = converted(tmp_path, "realtime-evals", "data.csv", "--write")
    assert written.steps[0].write == "Order, please."


def test_a_simulation_has_a_model_as_its_caller(tmp_path: Path) -> None:
    sim = {
        "simulation_id": "sim",
        "simulator": {"system_prompt": "You are the user.", "voice": "cedar"},
        "turns": {"fixed_first_user_turn": "Hello!"},
        "tool_mocks": [{"name": "order", "output": {"n": 7}}],
        "expected_tool_call": {"name": "order", "arguments": {}},
    }
    (tmp_path / "sim.json").write_text(json.dumps(sim))
    (spec,) = converted(tmp_path, "simulation", "sim.json")
    assert spec.persona.begins
    assert "Hello!" in spec.persona.options["instructions"]
    assert spec.tools[0].outputs == ({"n": 7},)
    assert spec.checks[0].called.name == "order"
