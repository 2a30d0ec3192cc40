"""Part of scripts/fuzz: whole random histories of the playout engine (tests/histories.py).

Each is a sender, a network and a puller that misbehave for a while, and then are calm. Always:
exactly 10 ms of int16, nothing raised, everything bounded. After calm: no concealment any more;
where the calm is long, every 10th time, the least delay and nothing but normal operation. libopus
is replaced by a tone: decoding is what would take the time.
"""

from __future__ import annotations

from histories import History

__all__ = ["case"]


def case(seed: int) -> str:
    """Live one history; raises with what it did when a promise was broken."""
    history = History(seed)
    try:
        history.run(long_calm=seed % 10 == 0)
    except Exception as exc:
        raise AssertionError(f"after {', '.join(history.told)}") from exc
    return "well"
