"""What ends, and when."""

from datetime import date

import pytest

from rtcvoice.config.call_config import DEFAULT_MODEL
from rtcvoice.config.end_dates import ending_told


@pytest.mark.parametrize(
    ("name", "day", "told"),
    [
        ("gpt-realtime", date(2027, 1, 19), "ends on 2027-01-20: use gpt-realtime-2.1"),
        ("gpt-realtime", date(2027, 1, 20), "ended on 2027-01-20"),
        ("gpt-realtime-2025-08-28", date(2026, 12, 1), "ends on 2027-01-20"),
        ("gpt-realtime-mini-2025-10-06", date(2026, 12, 1), "ended on 2026-07-23"),
        ("gpt-realtime-mini-2025-12-15", date(2026, 12, 1), "ends on 2027-01-20"),
        ("whisper-1", date(2026, 12, 1), "use gpt-live-transcribe or gpt-transcribe"),
        ("prompt", date(2026, 12, 1), "ended on 2026-11-30"),
    ],
)
def test_an_end_is_told_with_what_takes_its_place(name, day, told):
    assert told in ending_told(name, day)


@pytest.mark.parametrize("name", [DEFAULT_MODEL, "gpt-realtime-2.1-mini", "my-model", ""])
def test_of_what_has_no_known_end_nothing_is_said(name):
    assert ending_told(name, date(2026, 12, 1)) == ""
