"""Many calls: one call as a plain function of JSON values, and whoever runs many of them.

    spec file -> CallSpec -> run_call (a loop of its own) -> CallResult -> run folder
                    └─ run_calls: processes of ours, or any `concurrent.futures.Executor`

`specs.py` and `results.py` are what travels, `checks.py` what a call is held to. `caller.py` does
what the caller of a spec does, `one_call.py` is one call from spec to result. `caps.py` says when
the next may start, `workers.py` runs calls in processes, `many.py` runs all of them and repeats
what failed for no fault of the agent. `run_folder.py` keeps results, so that a run can be resumed;
`summary.py` is what they come to.
"""

from rtcvoice.fleet.caps import Caps
from rtcvoice.fleet.checks import Called, Check, Transcript, Within
from rtcvoice.fleet.many import run_calls
from rtcvoice.fleet.one_call import run_call
from rtcvoice.fleet.results import CallResult, CheckResult, Outcome, SaidTurn, ToolUse
from rtcvoice.fleet.specs import CallSpec, Line, Persona, Step, ToolMock

__all__ = [
    "CallResult",
    "CallSpec",
    "Called",
    "Caps",
    "Check",
    "CheckResult",
    "Line",
    "Outcome",
    "Persona",
    "SaidTurn",
    "Step",
    "ToolMock",
    "ToolUse",
    "Transcript",
    "Within",
    "run_call",
    "run_calls",
]
