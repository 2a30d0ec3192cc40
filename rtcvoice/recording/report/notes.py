"""What is missing of a recording, or is not as it should be: a line each, for people."""

from __future__ import annotations

from rtcvoice.recording.format import AUDIO, CALL, EVENTS, STATS, TURNS
from rtcvoice.recording.reading import RecordedCall

from .checked import number, text
from .event_table import EventTable

__all__ = ["notes_on"]


def notes_on(
    recorded: RecordedCall, table: EventTable, *, bad_lines: int, has_sound: bool
) -> list[str]:
    """Return the lines. `bad_lines`: how many could not be read."""
    call, notes = recorded.call, []
    if recorded.is_emulators:
        notes.append(
            "The emulator recorded this call: its times are the server's, and there are no figures"
            " of the client's network and playout."
        )
    missing = [
        name
        for name in (CALL, EVENTS, *(() if recorded.is_emulators else (STATS, TURNS)))
        if not (recorded.folder / name).exists()
    ]
    if missing:
        notes.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.")
    if not has_sound:
        there = (recorded.folder / AUDIO).exists()
        is_off = bool(call) and "audio_rate" in call and call["audio_rate"] is None
        notes.append(
            "The sound was not recorded."
            if is_off
            else f"There is no sound in {AUDIO}."
            if there
            else f"{AUDIO} is missing: there is no sound."
        )
    if bad_lines:
        lines = "1 line" if bad_lines == 1 else f"{bad_lines:,} lines"
        notes.append(
            f"{lines} could not be understood and left out: a program that was killed may leave"
            " half of one."
        )
    if dropped := number(call.get("dropped")):
        notes.append(f"The disk was too slow: {dropped:,.0f} parts of the recording are missing.")
    if stopped := text(call.get("stopped"), 500):
        notes.append(f"The recording ended before the call did: {stopped}")
    if call and not recorded.is_emulators and not call.get("end") and not stopped:
        notes.append("The call's end is missing: the program was killed, or the call goes on.")
    if table.left_out:
        notes.append(f"{table.left_out:,} events are not listed: there are too many.")
    if table.cut:
        notes.append(f"{table.cut:,} events are long, and not shown in full.")
    return notes
