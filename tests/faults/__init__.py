"""The fault list: what may go wrong with a call, a row each, and what must follow.

    row.py        what a row says
    connecting.py rows of faults before the call is up: it fails with this error, or comes up
    calls.py      rows of faults during a call: it goes on, or ends so
    own_side.py   rows of the user's side: devices, code, clocks, processes
    strikes.py    what injects them
    playing.py    plays a row and says what was seen

`ROWS` are all of them. `scripts/faults` plays them; those marked `quick` are tests, too.
"""

from __future__ import annotations

from faults.calls import ROWS as CALLS
from faults.connecting import ROWS as CONNECTING
from faults.own_side import ROWS as OWN_SIDE

__all__ = ["ROWS"]

ROWS = (*CONNECTING, *CALLS, *OWN_SIDE)
