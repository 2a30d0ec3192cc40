"""Many calls: what travels, when the next one starts, what is kept; and a few real ones."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import os
import pickle
import signal
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import virtual_loop
from hypothesis import given
from hypothesis import strategies as st
from live import again_if_late

from rtcvoice.emulator import BackgroundEmulator, Turn
from rtcvoice.errors import ConfigError
from rtcvoice.fleet import (
    CallResult,
    CallSpec,
    Caps,
    Line,
    Outcome,
    Step,
    ToolMock,
    one_call,
    run_call,
    run_calls,
)
from rtcvoice.fleet import many as many_module
from rtcvoice.fleet import workers as workers_module
from rtcvoice.fleet.caller import Caller, load_clips
from rtcvoice.fleet.caps import StartGate
from rtcvoice.fleet.checks import Within
from rtcvoice.fleet.line import LineEffects
from rtcvoice.fleet.many import RunOfCalls
from rtcvoice.fleet.mocks import MockedTools
from rtcvoice.fleet.results import result_from_json, result_to_json
from rtcvoice.fleet.run_folder import RunFolder, table
from rtcvoice.fleet.spans import AudibleSpans, compare
from rtcvoice.fleet.spec_file import read_specs, with_trials
from rtcvoice.fleet.specs import spec_from_json, spec_to_json
from rtcvoice.fleet.summary import quantile, summary_of
from rtcvoice.fleet.workers import WorkerLost

SPOKEN = (Step(say="prompt:thanks"), Step(listen=20))

virtual = virtual_loop.within(5000)


def result(unit="hello", outcome=Outcome.COMPLETED, **fields):
    return CallResult(
        **{"run": "r", "scenario": unit, "trial": 1, "seed": 0, **fields}, outcome=outcome
    )


# -- what travels -------------------------------------------------------------------------------


def test_a_spec_is_the_same_after_any_journey():
    spec = CallSpec(
        scenario="order-1.b",
        trial=3,
        options={"model": "gpt-realtime-2.1", "turn_detection": {"type": "semantic_vad"}},
        steps=(Step(say="a.wav", after=1.5), Step(write="Hello"), Step(hang_up=True)),
        tools=(ToolMock(name="weather", outputs=({"degrees": 21}, "gone")),),
        cost=0.5,
    )
    assert spec_from_json(spec_to_json(spec)) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert spec.unit == "order-1.b.3.0"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scenario": "../../etc"}, "letters, digits"),
        ({"scenario": ""}, "letters, digits"),
        ({"scenario": "a", "run": "a/b"}, "letters, digits"),
        ({"scenario": "a", "trial": 0}, "from 1 to"),
        ({"scenario": "a", "seconds": 0}, "seconds"),
        ({"scenario": "a", "cost": -1}, "cost"),
        ({"scenario": "a", "options": {"api_key": "x"}}, "api_key"),
        ({"scenario": "a", "options": {"source": "x", "tools": []}}, "source, tools"),
        ({"scenario": "a", "options": {"instructions": "sk-abcdefghijklmnopqrstuvwx"}}, "a key"),
        ({"scenario": "a", "steps": [{"say": "a.wav", "write": "b"}]}, "a step is one of"),
        ({"scenario": "a", "steps": [{}]}, "a step is one of"),
        ({"scenario": "a", "steps": [{"wait": -1}]}, "wait is -1"),
        ({"scenario": "a", "steps": [{"wait": 1e999}]}, "spec"),
        ({"scenario": "a", "steps": [{"write": "a", "after": 1}]}, "after belongs"),
        ({"scenario": "a", "steps": [{"sing": "a"}]}, "sing"),
        ({"scenario": "a", "tools": [{"name": "t", "outputs": []}]}, "no output"),
        ({"scenario": "a", "colour": "red"}, "colour"),
    ],
)
def test_what_no_call_can_have_is_refused_with_its_place(fields, says):
    with pytest.raises(ConfigError, match=says) as refused:
        spec_from_json(json.dumps(fields))
    assert "sk-abc" not in str(refused.value)


def test_a_result_is_the_same_after_any_journey():
    made = result(latencies=(0.5,), spoke=((0.0, 1.5),), cost=0.01, error="ünï")
    assert result_from_json(result_to_json(made)) == made
    assert pickle.loads(pickle.dumps(made)) == made


# -- files --------------------------------------------------------------------------------------


def test_what_stands_beside_the_calls_holds_for_all_of_them(tmp_path):
    (tmp_path / "calls.yaml").write_text(
        """
run: nightly
trials: 2
options: {model: m, voice: marin}
calls:
  - scenario: one
    steps: [{say: hello.wav}, {say: "prompt:thanks"}]
  - scenario: two
    options: {voice: cedar}
    seconds: 9
"""
    )
    specs = read_specs(tmp_path / "calls.yaml")
    assert [spec.unit for spec in specs] == ["one.1.0", "one.2.1", "two.1.0", "two.2.1"]
    assert specs[0].steps[0].say == str(tmp_path / "hello.wav")
    assert specs[0].steps[1].say == "prompt:thanks"
    assert specs[2].options == {"model": "m", "voice": "cedar"}
    assert (specs[2].seconds, specs[0].run) == (9, "nightly")
    assert len({spec.unit for spec in with_trials(specs[:1], 3)}) == 3


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "calls: [", r"a.yaml, line 1: this is not YAML: expected the node content"),
        ("a.yaml", "calls: [{scenario: a, network: 5}]", "network is a whole number, and has"),
        (
            "a.yaml",
            "calls: [{scenario: a, checks: [{called: 5}]}]",
            "call 1: checks 1, called is a whole number, and has to be a text or a mapping",
        ),
        ("a.yaml", "calls: [{scenario: a, stps: []}]", r"`stps` \(did you mean steps\?\)"),
        ("a.yaml", "calls: [{scenario: a, steps: [{sai: x}]}]", r"did you mean say\?"),
        ("a.yaml", "calls: [{scenario: a, steps: [{xyz: x}]}]", "known are: say, speak"),
        ("a.yaml", "calls: {}", "no list of calls"),
        ("a.yaml", "calls: [1]", "call 1 is 1"),
        ("a.yaml", "calls: []", "no call"),
        ("a.yaml", "calls: [{scenario: a}]\ntrials: yes", "trials"),
        ("a.yaml", "calls: [{scenario: a}, {scenario: a b}]", "call 2"),
        ("a.yaml", "calls: !!python/object/apply:os.system ['true']", "not YAML"),
        ("a.yaml", "\x08", r"a.yaml: this is not YAML: special characters are not allowed"),
        ("a.yaml", "[" * 5000, "a.yaml: this is not YAML: it is nested too deeply"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.jsonl", '{"scenario": "a"}\n\n{', "line 3"),
        ("a.jsonl", '{"scenario": "a"}\n{"scenario": 5}', "line 2"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_specs(tmp_path / name)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_specs(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_specs(tmp_path / "a.yaml")


# -- caps ---------------------------------------------------------------------------------------


def test_starts_are_spread_and_calls_are_bounded():
    gate = StartGate(Caps(starts_per_second=2, calls=3))
    starts = []
    now = 0.0
    for _ in range(3):
        now += gate.wait(now)
        gate.started(now)
        starts.append(now)
    assert starts == [0.0, 0.5, 1.0]
    assert gate.wait(now) is None
    gate.ended(1.2)
    assert gate.wait(1.2) == pytest.approx(0.3)


def test_tokens_of_the_last_minute_hold_up_the_next_call():
    gate = StartGate(Caps(tokens_per_minute=1000))
    gate.started(0)
    gate.ended(5, tokens=1200)
    assert gate.wait(10) == pytest.approx(55)
    assert gate.wait(65) == 0


def test_nothing_starts_once_the_money_is_spent():
    gate = StartGate(Caps(cost=1.0))
    for cost in (0.6, None, 0.5):
        assert not gate.stopped
        gate.started(0)
        gate.ended(0, cost=cost)
    assert "US$ 1.10" in gate.stopped
    for wrong in ({"calls": 0}, {"cost": float("nan")}, {"starts_per_second": True}):
        with pytest.raises(ConfigError):
            Caps(**wrong)


# -- what is heard ------------------------------------------------------------------------------


def test_stretches_of_sound_tell_waits_and_talk_over():
    caller, other = [(0.0, 2.0), (6.0, 7.0), (12.0, 13.0)], [(2.5, 6.4), (8.0, 10.0)]
    sides = compare(caller, other)
    assert sides.latencies == pytest.approx((0.5, 1.0))
    assert sides.talk_over == pytest.approx(0.4)
    assert sides.yields == pytest.approx((0.4,))
    assert compare([], other).latencies == ()


@virtual
async def test_what_is_written_is_waited_for_too():
    """An instant on the caller's side, at which nothing is heard."""
    sides = compare([(0.0, 2.0), (6.0, 6.0), (9.0, 9.0)], [(2.5, 5.0), (7.0, 8.0), (8.5, 10.0)])
    assert sides.latencies == pytest.approx((0.5, 1.0))  # the last was written into an answer
    assert sides.talk_over == 0

    async def send(text):
        await asyncio.sleep(0.2)

    caller = Caller((Step(wait=1.0), Step(write="Hello!"), Step(wait=1.0)), {}, line=Line(), seed=0)
    began = asyncio.get_running_loop().time()
    await caller.run(SimpleNamespace(send=send))
    assert [at - began for at in caller.written] == pytest.approx([1.0])


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 20)), max_size=20))
def test_stretches_are_in_order_and_apart(blocks):
    spans = AudibleSpans()
    for begin, length in sorted(blocks):
        spans.feed(5000, begin, begin + length)
        spans.feed(5, begin + length, begin + length + 0.1)
    found = spans.since(0.0)
    assert all(a < b for a, b in found)
    assert all(now[1] < later[0] for now, later in pairwise(found))


spans = st.lists(st.integers(1, 40), max_size=12).map(
    lambda steps: [
        *zip(*[iter([sum(steps[: n + 1]) for n in range(len(steps))])] * 2, strict=False)
    ]
)


@given(spans, spans)
def test_two_sides_are_compared_as_by_looking_at_each_pair(caller, other):
    waits, yields, both = [], [], 0
    for began, ended in caller:
        over = [(a, b) for a, b in other if a < ended and b > began]
        both += sum(min(b, ended) - max(a, began) for a, b in over)
        yields += (
            [max(b for a, b in over if a < began) - began]
            if any(a < began for a, _ in over)
            else []
        )
        after = [a for a, _ in other if a >= ended]
        following = [a for a, _ in caller if a > ended]
        if after and not (following and following[0] <= after[0]) and after[0] - ended <= 30:
            waits += [] if any(a < ended < b for a, b in other) else [after[0] - ended]
    found = compare(caller, other)
    assert found == (tuple(waits), both, sum(waits), tuple(yields))


def spectrum(samples, low, high):
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 24000)
    return 10 * np.log10(power[(hz >= low) & (hz < high)].sum() + 1e-9)


def through(line, sound, seed=1):
    effects = LineEffects(line, rate=24000, seed=seed)
    blocks = [effects.process(sound[at : at + 480]) for at in range(0, len(sound), 480)]
    return np.concatenate(blocks)


def test_a_telephone_lets_a_narrow_band_through_and_noise_is_made_by_the_seed():
    silence = np.zeros(48000, np.int16)
    noisy = through(Line(noise=-40), silence)
    assert 20 * np.log10(np.std(noisy) / 32768) == pytest.approx(-40, abs=0.5)
    assert np.array_equal(noisy, through(Line(noise=-40), silence))
    assert not np.array_equal(noisy, through(Line(noise=-40), silence, seed=2))
    called = through(Line(telephone=True), noisy)
    assert len(called) == len(noisy)
    for low, high, loss in ((500, 3000, 0), (20, 120, 20), (4500, 12000, 20)):
        lost = spectrum(noisy, low, high) - spectrum(called, low, high)
        assert lost > loss - 2
        assert loss or abs(lost) < 2
    assert np.array_equal(through(Line(), noisy), noisy)
    louder = through(Line(level=6), noisy)
    assert np.std(louder) / np.std(noisy) == pytest.approx(2, abs=0.02)
    for wrong in ({"noise": 0}, {"level": 99}):
        with pytest.raises(ValueError, match="is "):
            Line(**wrong)


def test_a_key_is_found_wherever_it_hides_in_a_spec():
    key = "sk-" + "a" * 30
    hidden = [
        {"steps": (Step(write=f"my key is {key}"),)},
        {"tools": (ToolMock(name="a", outputs=({"k": key},)),)},
        {"state": {"k": [key]}},
        {"record": f"/tmp/{key}"},
    ]
    for fields in hidden:
        with pytest.raises(ValueError, match="looks like a key"):
            CallSpec(scenario="a", **fields)
    with pytest.raises(ValueError, match="name or password"):
        CallSpec(scenario="a", options={"base_url": "https://me:secret@host/v1"})


def test_numbers_that_do_not_travel_are_refused():
    for fields in ({"seed": -1}, {"seed": 2**70}, {"cost": float("inf")}):
        with pytest.raises(ValueError, match=r"not (from|above) 0"):
            CallSpec(scenario="a", **fields)
    with pytest.raises(ValueError, match="numbers"):
        Within(most=float("inf"))


def test_aliases_are_counted_with_what_they_stand_for(tmp_path):
    file = tmp_path / "calls.yaml"
    layers = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    layers += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file.write_text("\n".join([*layers, "calls: [{scenario: x, options: {a: *a8}}]"]))
    with pytest.raises(ConfigError, match="aliases"):
        read_specs(file)
    file.write_text("calls: &c [{scenario: x, state: {a: *c}}]")
    with pytest.raises(ConfigError, match="holds itself"):
        read_specs(file)
    file.write_text(
        "s: &s [{write: Hi}]\ncalls: [{scenario: x, steps: *s}, {scenario: y, steps: *s}]"
    )
    with pytest.raises(ConfigError, match="unknown field `s`"):  # aliases as such are welcome
        read_specs(file)
    with pytest.raises(ConfigError, match="not a file"):
        read_specs("/dev/zero")


# -- what is kept -------------------------------------------------------------------------------


def test_a_run_is_resumed_where_it_was_left(tmp_path):
    spec = CallSpec(scenario="a")
    folder = RunFolder(tmp_path / "run", config={"version": "1"})
    assert folder.done(spec) is None
    folder.keep(result("a", Outcome.INFRASTRUCTURE, run="run"))
    assert folder.done(spec) is None
    folder.keep(result("a", Outcome.FAILED, run="run"))
    with pytest.raises(ConfigError, match="--resume"):
        RunFolder(tmp_path / "run", config={})
    again = RunFolder(tmp_path / "run", config={}, resume=True)
    assert again.done(spec).outcome is Outcome.FAILED
    (tmp_path / "run/results/run~a.1.0.json").write_text("{broken")
    assert again.done(spec) is None
    assert oct((tmp_path / "run").stat().st_mode)[-3:] == "700"


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="other things"):
        RunFolder(tmp_path, config={}, resume=True)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="not of a run"):
        RunFolder(tmp_path, config={}, resume=True)
    with pytest.raises(ConfigError, match="cannot be kept"):
        RunFolder(tmp_path / "notes.txt" / "run", config={})


def test_a_spreadsheet_finds_no_formula(tmp_path):
    rows = list(csv.reader(io.StringIO(table([result(error="=cmd()"), result(error="@x\n,")]))))
    at = rows[0].index("error")
    assert [row[at] for row in rows[1:]] == ["'=cmd()", "'@x\n,"]


def test_the_summary_counts_trials_and_names_the_worst():
    made = [
        result("a", latencies=(0.5, 2.0), cost=0.1),
        result("a", Outcome.FAILED, trial=2, error="late"),
        result("b", latencies=(1.0,)),
        result("c", Outcome.INFRASTRUCTURE),
    ]
    summary = summary_of(made, stopped="spent")
    assert summary["outcomes"]["completed"] == 2
    assert summary["scenarios"]["a"] == summary["scenarios"]["a"] | {
        "pass_at_k": True,
        "pass_all_k": False,
    }
    assert summary["scenarios"]["c"]["pass_all_k"] is False
    assert (summary["cost"], summary["calls_of_unknown_cost"]) == (0.1, 3)
    assert summary["latency"]["p50"] == 1.0
    assert summary["worst"][0]["outcome"] != "completed"
    assert quantile([], 0.5) is None
    json.dumps(summary)


def test_only_results_of_the_run_count_and_only_files(tmp_path):
    folder = RunFolder(tmp_path / "run", config={})
    folder.keep(result("a", run="run"))
    folder.keep(result("old", run="run"))
    folder.keep(result("b.c", run="a", cost=1.0))
    folder.keep(
        result("c", run="a.b", cost=2.0)
    )  # another one, though written in one it is the same
    kept = tmp_path / "run/results"
    (kept / "run~b.1.0.json").write_bytes((kept / "run~a.1.0.json").read_bytes())
    (kept / "run~d.1.0.json").mkdir()
    (kept / "run~e.1.0.json").symlink_to("/dev/zero")
    assert folder.done(CallSpec(scenario="b")) is None  # what was copied is not its result
    assert folder.done(CallSpec(scenario="c", run="a.b")).cost == 2.0
    summary, found = folder.finish(among={"run~a.1.0", "run~e.1.0"})
    assert [each.scenario for each in found] == ["a"]
    assert summary["calls"] == 1
    (kept.parent / "results.csv").unlink()
    (kept.parent / "results.csv").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        folder.finish()


# -- all calls of a run, in virtual time ---------------------------------------------------------


class FakeWorkers:
    """Makes calls of ten seconds; `outcomes` of a scenario are given one after the other."""

    def __init__(self, capacity=4, **outcomes):
        self.capacity = capacity
        self.outcomes = {name: list(listed) for name, listed in outcomes.items()}
        self.made = []
        self.most = self.running = 0
        self.closed = False

    async def run(self, spec):
        self.made.append((asyncio.get_running_loop().time(), spec.scenario))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(10)
        finally:
            self.running -= 1
        outcome = self.outcomes.get(spec.scenario, [Outcome.COMPLETED]).pop(0)
        if outcome is WorkerLost:
            raise WorkerLost("gone")
        return result(spec.scenario, outcome, run=spec.run, cost=0.5)

    async def aclose(self):
        self.closed = True


async def made(workers, monkeypatch, specs, **options):
    monkeypatch.setattr(many_module, "LocalWorkers", lambda **sizes: workers)
    run = RunOfCalls(specs, **options)
    return run, await run.make()


@virtual
async def test_failures_of_the_network_are_repeated_and_those_of_the_agent_are_not():
    with pytest.MonkeyPatch.context() as patch:
        lost, invalid = Outcome.INFRASTRUCTURE, Outcome.INVALID
        done = Outcome.COMPLETED
        workers = FakeWorkers(
            a=[done],
            b=[lost, WorkerLost, done],
            c=[invalid, lost, lost],
            d=[Outcome.FAILED],
        )
        told = []
        specs = [CallSpec(scenario=name) for name in "abcd"]
        _, results = await made(workers, patch, specs, on_result=told.append)
        found = {each.scenario: (each.outcome, each.attempts) for each in results}
        assert found == {
            "a": (done, 1),
            "b": (done, 3),
            "c": (lost, 3),
            "d": (Outcome.FAILED, 1),
        }
        assert [each.scenario for each in results] == list("abcd")
        assert len(told) == 4
        assert workers.closed


@virtual
async def test_a_run_ends_cleanly_when_its_money_is_spent():
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers(capacity=2)
        specs = [CallSpec(scenario=f"s{n}") for n in range(20)]
        workers.outcomes = {spec.scenario: [Outcome.COMPLETED] for spec in specs}
        run, results = await made(workers, patch, specs, caps=Caps(cost=2.0))
        assert 4 <= len(results) <= 5
        assert "US$ 2" in run.stopped
        assert workers.most == 2


@virtual
async def test_a_run_that_is_stopped_cancels_what_runs():
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers(capacity=2, a=[Outcome.COMPLETED], b=[Outcome.COMPLETED])
        patch.setattr(many_module, "LocalWorkers", lambda **sizes: workers)
        run = RunOfCalls([CallSpec(scenario=name) for name in "abc"])
        asyncio.get_running_loop().call_later(5, run.stop)
        assert await run.make() == []
        assert run.stopped
        assert workers.running == 0
        assert workers.closed


@virtual
async def test_a_server_that_asks_to_be_left_alone_is_left_alone():
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers(capacity=1)

        async def run(spec):
            now = asyncio.get_running_loop().time()
            workers.made.append((now, spec.scenario))
            first = len(workers.made) == 1
            outcome = Outcome.INFRASTRUCTURE if first else Outcome.COMPLETED
            return result(spec.scenario, outcome, retry_after=60.0 if first else None)

        workers.run = run
        await made(workers, patch, [CallSpec(scenario=name) for name in "ab"])
        first, *others = (at for at, _ in workers.made)
        assert min(others) >= first + 60


@virtual
async def test_a_run_ends_at_once_where_no_call_is_possible():
    """Unless a call was connected before, or the others go elsewhere."""
    gone = {"error": "nothing listens there", "same_for_all": True}
    lost = Outcome.INFRASTRUCTURE

    async def tried(*, connect_seconds=0.0, **options):
        workers = FakeWorkers(capacity=1)

        async def run(spec):
            workers.made.append(spec.scenario)
            if spec.scenario == "a":
                return result("a", connect_seconds=connect_seconds)
            return result(spec.scenario, lost, **gone)

        workers.run = run
        specs = [CallSpec(scenario="a"), CallSpec(scenario="b", options=options)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(many_module, "LocalWorkers", lambda **sizes: workers)
            run_of_calls = RunOfCalls([*specs, CallSpec(scenario="c", options=options)])
            results = await run_of_calls.make()
        return run_of_calls, workers.made, len(results)

    run, made_calls, results = await tried()
    assert (run.refused, run.stopped, results) == (True, gone["error"], 2)
    assert made_calls == ["a", "b"]
    for others in ({"connect_seconds": 0.3}, {"base_url": "http://elsewhere/v1"}):
        run, made_calls, results = await tried(**others)
        assert (run.refused, run.stopped, results) == (False, "", 3)
        assert made_calls.count("b") == 3


@virtual
async def test_a_run_ends_when_one_call_after_the_other_is_not_connected():
    lost, names = Outcome.INFRASTRUCTURE, [f"s{n}" for n in range(100)]
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers(**{name: [lost] * 3 for name in names})
        run, _ = await made(workers, patch, [CallSpec(scenario=name) for name in names])
    assert run.refused
    assert 30 <= len(workers.made) <= 36
    assert run.stopped


@virtual
async def test_a_run_goes_on_while_an_older_call_may_be_connected():
    """Such as a server that takes so many calls and no more."""
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers()

        async def run(spec):
            if spec.scenario == "first":
                await asyncio.sleep(60)
                return result("first", connect_seconds=0.2)
            return result(spec.scenario, Outcome.INFRASTRUCTURE, same_for_all=True)

        workers.run = run
        run_of_calls, results = await made(
            workers, patch, [CallSpec(scenario=name) for name in ("first", "a", "b")]
        )
    assert (run_of_calls.refused, len(results)) == (False, 3)


@virtual
async def test_a_worker_that_was_told_to_end_by_others_has_its_call_made_again():
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers(a=[Outcome.STOPPED, Outcome.COMPLETED])
        _, (found,) = await made(workers, patch, [CallSpec(scenario="a")])
        assert (found.outcome, found.attempts) == (Outcome.COMPLETED, 2)


class Frozen(Executor):
    """Takes calls; gives back what it is told to."""

    def __init__(self):
        self.futures = []

    def submit(self, function, /, *args, **kwargs):
        self.futures.append(Future())
        return self.futures[-1]


@virtual
async def test_an_executor_that_stands_still_is_given_up_and_a_long_queue_is_not():
    executor, loop = Frozen(), asyncio.get_running_loop()
    workers = workers_module.ExecutorWorkers(executor, calls=32)
    spec = CallSpec(scenario="a", seconds=60)
    calls = [asyncio.ensure_future(workers.run(spec)) for _ in range(10)]
    await asyncio.sleep(0)
    for n in range(9):
        await asyncio.sleep(100)
        executor.futures[n].set_result(result_to_json(result("a")))
        assert (await calls[n]).scenario == "a"
    with pytest.raises(WorkerLost, match="180 s"):
        await calls[9]
    assert loop.time() > 1000
    assert executor.futures[9].cancelled()


@virtual
async def test_a_process_that_cannot_be_started_loses_one_try_and_not_the_run(monkeypatch):
    class NoMemory:
        def __init__(self):
            raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(workers_module, "_Child", NoMemory)
    run = RunOfCalls([CallSpec(scenario="a")])
    (found,) = await run.make(processes=1)
    assert (found.outcome, found.attempts) == (Outcome.INFRASTRUCTURE, 3)
    assert "Cannot allocate" in found.error


async def test_clips_are_bounded_in_all(monkeypatch):
    async def load(path, *, longest):
        return np.zeros(24_000 * 600, np.int16)

    monkeypatch.setattr("rtcvoice.fleet.caller.load_file", load)
    with pytest.raises(ConfigError, match="3600 s in all"):
        await load_clips(Step(say=f"{n}.wav") for n in range(7))


class FullDisk:
    """Keeps nothing."""

    def done(self, spec):
        return None

    def keep(self, result):
        raise OSError(28, "No space left on device")


class Kept:
    """Knows one call."""

    def done(self, spec):
        return result(spec.scenario, run=spec.run, cost=2.0) if spec.scenario == "s0" else None

    def keep(self, result):
        pass


@virtual
async def test_a_run_stops_when_what_it_finds_cannot_be_kept():
    with pytest.MonkeyPatch.context() as patch:
        specs = [CallSpec(scenario=f"s{n}") for n in range(20)]
        run, results = await made(FakeWorkers(capacity=2), patch, specs, keeper=FullDisk())
        assert len(results) <= 2
        assert "No space left" in run.stopped


@virtual
async def test_the_cost_of_a_run_is_bounded_when_resumed_and_when_nobody_knows_it():
    with pytest.MonkeyPatch.context() as patch:
        specs = [CallSpec(scenario=f"s{n}") for n in range(9)]
        run, results = await made(
            FakeWorkers(capacity=1), patch, specs, keeper=Kept(), caps=Caps(cost=2.4)
        )
        assert len(results) == 2
        assert "US$ 2.5" in run.stopped
    gate = StartGate(Caps(cost=5))
    gate.started(0)
    gate.ended(1, tokens=100, cost=None)
    assert "not known" in gate.stopped


@virtual
async def test_whose_a_result_is_is_not_said_by_who_made_it():
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers()

        async def run(spec):
            return result("../../etc/passwd", run="/", trial=7)

        workers.run = run
        _, (found,) = await made(workers, patch, [CallSpec(scenario="a")])
        assert found.file_name == "run~a.1.0"


@virtual
async def test_many_calls_are_begun_in_little_time():
    with pytest.MonkeyPatch.context() as patch:
        workers = FakeWorkers(capacity=1000)

        async def run(spec):
            return result(spec.scenario)

        workers.run = run
        specs = [CallSpec(scenario="s", trial=n) for n in range(1, 20_001)]
        began = time.process_time()
        _, results = await made(workers, patch, specs)
        assert len(results) == 20_000
        assert time.process_time() - began < 10  # 40 s where each start looks at all that wait


def test_a_call_that_is_there_twice_is_refused():
    with pytest.raises(ConfigError, match="A and a"):
        run_calls([CallSpec(scenario="a"), CallSpec(scenario="A")])
    with pytest.raises(ConfigError, match="there 2 times"):
        run_calls([CallSpec(scenario="a"), CallSpec(scenario="a")])
    with pytest.raises(ConfigError, match="processes=-1"):
        run_calls([CallSpec(scenario="a")], processes=-1)


# -- real calls ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_call_is_too_late(monkeypatch):
    """Whatever the machine does: else what a late loop may have spoilt counts for nothing."""
    monkeypatch.setattr(one_call, "LATE", 60.0)


@pytest.fixture(scope="module")
def server():
    with BackgroundEmulator(script=[Turn(says="it-is-done")] * 3) as server:
        yield server


def specs_for(server, *names, **fields):
    fields = {"options": {"base_url": server.url}, "steps": (Step(wait=0.2),), **fields}
    return [CallSpec(scenario=name, **fields) for name in names]


@again_if_late
def test_one_call_from_its_spec_to_its_result(server, tmp_path):
    (spec,) = specs_for(server, "hello", record=str(tmp_path), steps=SPOKEN)
    made = run_call(spec)
    assert (made.outcome, made.error) == (Outcome.COMPLETED, "")
    assert [turn.role for turn in made.turns] == ["user", "assistant"]
    assert [turn.status for turn in made.turns] == ["completed", "completed"]
    (wait,) = made.latencies
    assert 0.1 < wait < 30
    assert made.tokens > 0
    assert made.packets_received > 20
    assert made.call_id.startswith("rtc_")
    assert made.recording
    assert (tmp_path / made.recording).is_dir()


def test_what_cannot_be_called_is_no_fault_of_the_agents():
    gone = CallSpec(
        scenario="gone", options={"base_url": "http://127.0.0.1:9/v1", "connect_timeout": 20.0}
    )
    made = run_call(gone)
    assert made.outcome is Outcome.INFRASTRUCTURE
    assert made.error
    assert made.stage or made.code or "refused" in made.error
    assert made.same_for_all
    wrong = run_call(msgspec.structs.replace(gone, options={"voice": 5}))
    assert wrong.outcome is Outcome.FAILED
    assert not wrong.same_for_all
    missing = run_call(msgspec.structs.replace(gone, steps=(Step(say="/nowhere.wav"),)))
    assert missing.outcome is Outcome.FAILED
    assert "/nowhere.wav" in missing.error


def test_an_executor_of_any_kind_makes_the_calls(server):
    with ThreadPoolExecutor(2) as executor:
        results = run_calls(specs_for(server, "a", "b"), executor)
    assert [(each.scenario, each.outcome.value) for each in results] == [
        ("a", "completed"),
        ("b", "completed"),
    ]


def test_what_a_process_warns_of_is_logged_by_its_program(caplog):
    sent = []
    warner = logging.getLogger("of a process")
    warner.propagate = False
    warner.addHandler(workers_module._Told(sent.append))
    warner.info("nothing to warn of")
    warner.warning("it is %d ms\nlate\x1b[31m", 13)
    warner.warning("wrong %d", "arguments")
    assert sent == [b"log it is 13 ms late[31m"]
    workers_module._Child._take(SimpleNamespace(_waiting={}), sent[0])
    assert caplog.messages == ["it is 13 ms late[31m"]
    warner.handlers[0]._send = None  # whatever goes wrong there harms nobody
    warner.warning("late")
    warner.handlers.clear()


@again_if_late
def test_a_process_that_is_killed_loses_only_what_it_was_doing(server):
    killed = []

    def kill_the_first(made):
        if not killed:
            pid = int(made.worker.rpartition("/")[2])
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    long = specs_for(server, "long", steps=(Step(wait=1.5),))
    specs = [*specs_for(server, "short"), *long]
    results = run_calls(specs, processes=1, calls_per_process=2, on_result=kill_the_first)
    found = {each.scenario: (each.outcome.value, each.attempts) for each in results}
    assert found == {"short": ("completed", 1), "long": ("completed", 2)}


@again_if_late
def test_a_process_that_stands_still_is_given_up(server, monkeypatch):
    patience = iter([120.0, 0.5])  # the second is for the process that stands still

    class Overtime:
        def __radd__(self, seconds):
            return next(patience, 120.0)

    monkeypatch.setattr(workers_module, "OVERTIME", Overtime())
    stopped = []

    def stop_the_first(made):
        if not stopped:
            stopped.append(int(made.worker.rpartition("/")[2]))
            os.kill(stopped[0], signal.SIGSTOP)

    big = "x" * 300_000  # more than a pipe holds
    long = specs_for(server, "long", steps=(Step(wait=0.8),), seconds=60.0, state={"big": big})
    specs = [*specs_for(server, "short", seconds=60.0), *long]
    results = run_calls(specs, processes=1, calls_per_process=1, on_result=stop_the_first)
    found = {each.scenario: (each.outcome.value, each.attempts) for each in results}
    assert found == {"short": ("completed", 1), "long": ("completed", 2)}


def test_whatever_a_model_calls_a_tool_with_there_is_a_result(server):
    tool = MockedTools([ToolMock(name="a", sets={"x": "{city}"})], {}).get("a")
    assert tool.signature.bind('{"city": "\\ud800"}').named == {}
    assert tool.signature.bind("[" * 100_000).named == {}
    (spec,) = specs_for(server, "half", state={}, tools=(ToolMock(name="a"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            MockedTools,
            "state",
            property(lambda self: {"x": "\ud800"}, lambda *a: None),
            raising=False,
        )
        made = run_call(spec)
    assert made.outcome is Outcome.FAILED
    assert "no result" in made.error


def test_a_dask_cluster_makes_the_calls(server):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
        client.get_executor() as executor,
    ):
        results = run_calls(specs_for(server, "a", "b"), executor)
    assert [each.outcome for each in results] == [Outcome.COMPLETED] * 2


@again_if_late
def test_a_second_model_plays_the_caller():
    from rtcvoice.fleet import Persona

    with BackgroundEmulator(script=[Turn(says="it-is-done")] * 3) as server:
        options = {"base_url": server.url}
        persona = Persona(options=options, until="is done")
        made = run_call(CallSpec(scenario="talk", options=options, persona=persona))
    assert (made.outcome, made.error) == (Outcome.COMPLETED, "")
    assert made.turns[0].role == "assistant"
    assert made.heard
    assert made.tokens > 0
    with pytest.raises(ValueError, match="steps and persona"):
        CallSpec(scenario="a", steps=SPOKEN, persona=persona)
    with pytest.raises(ValueError, match="persona: options"):
        Persona(options={"api_key": "a"})


def test_trials_that_are_given_take_the_place_of_those_of_the_file(tmp_path):
    calls = tmp_path / "calls.yaml"
    calls.write_text("trials: 2\ncalls: [{scenario: a, steps: [{wait: 1}]}]")
    assert [spec.trial for spec in read_specs(calls)] == [1, 2]
    assert [spec.trial for spec in read_specs(calls, trials=1)] == [1]
    units = [(spec.trial, spec.seed) for spec in read_specs(calls, trials=3)]
    assert len(set(units)) == len(units) == 3
