"""What was said, turn by turn, both sides in the order in which they began; pure.

`take()` gives what changed as snapshots: those in the making first, then final ones in order. One
that began earlier and goes on holds back those behind it for a short time only, for both sides may
speak at once.
"""

from __future__ import annotations

from rtcvoice.conversation.state.history_entries import HistoryEntry, HistoryMessage
from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import Turn

from .spoken import Spoken
from .user_side import UserSide

__all__ = ["Turns", "entry_of"]

HELD_BACK = 5.0
"""Seconds for which a final turn waits for one that began before."""


class Turns:
    """The turns of one call, from what its sides make."""

    def __init__(self) -> None:
        self.all: list[Spoken] = []
        """Everything said, in the order in which it began."""
        self.user: UserSide | None = None
        self._open: list[Spoken] = []
        self._touched: dict[str, Spoken] = {}
        self._final_since: dict[str, float] = {}
        self._settling = False

    @property
    def settled(self) -> bool:
        """Whether every turn is final and was given."""
        return not self._open

    def add(self, spoken: Spoken) -> None:
        """Take what one side begins to say."""
        self.all.append(spoken)
        self._open.append(spoken)

    def change(self, spoken: Spoken) -> None:
        """Note that something of it changed."""
        if spoken.dropped:
            self._touched.pop(spoken.id, None)
            self._open = [each for each in self._open if each is not spoken]
            self.all = [each for each in self.all if each is not spoken]
        else:
            self._touched[spoken.id] = spoken

    def settle(self) -> None:
        """Hold nothing back the next time: all that is open was closed."""
        self._settling = True

    def take(self, now: float, *, partial: bool = True) -> list[Turn]:
        """Return the turns that changed: open ones first, if wanted, then final ones in order.

        A final turn comes once more when words of it came late.
        """
        final = self._take_final(now)
        touched, self._touched = self._touched, {}
        waiting = {each.id for each in self._open if each.final}
        others = [
            each
            for each in touched.values()
            if each not in final
            and each.words
            and each.id not in waiting
            and (each.final or (partial and not self._is_withheld(each)))
        ]
        for each in touched.values():  # what is not given yet is to be given later
            if each.words and not each.final and partial and self._is_withheld(each):
                self._touched[each.id] = each
        for each in (*others, *final):
            each.given = True
        return [each.turn() for each in (*others, *final)]

    def next_deadline(self) -> float | None:
        """Return when `take` has something new by time alone; None if it has not."""
        waiting = [since + HELD_BACK for since in self._final_since.values()]
        return min(waiting, default=None)

    def export(self) -> list[HistoryEntry]:
        """Return everything said, as values that `json.dumps` takes; see `entry_of`."""
        return [entry_of(each) for each in self._sorted() if each.text]

    def _sorted(self) -> list[Spoken]:
        return sorted(self.all, key=lambda each: each.began)

    def _take_final(self, now: float) -> list[Spoken]:
        self._open.sort(key=lambda each: each.began)
        final: list[Spoken] = []
        held = False
        for spoken in list(self._open):
            if not spoken.final:
                held = held or bool(spoken.words)
                continue
            since = self._final_since.setdefault(spoken.id, now)
            if held and not self._settling and now < since + HELD_BACK:
                continue
            self._open.remove(spoken)
            self._final_since.pop(spoken.id, None)
            final.append(spoken)
        self._settling = False
        return final

    def _is_withheld(self, spoken: Spoken) -> bool:
        return self.user is not None and self.user.may_be_backchannel(spoken)


def entry_of(spoken: Spoken) -> HistoryMessage:
    """Return one turn as an entry of the history."""
    status = spoken.status if spoken.final else Status.IN_PROGRESS
    entry: HistoryMessage = {
        "id": spoken.id,
        "type": "message",
        "role": spoken.role,
        "text": spoken.text,
        "status": status.value,
        "spoken": spoken.spoken,
    }
    if spoken.heard_ms is not None:
        entry["heard_ms"] = spoken.heard_ms
        entry["heard_text"] = spoken.heard_text
    return entry
