"""Which release of aiortc calls are tested with: the only place besides `pyproject.toml`.

It imports nothing, so that `doctor` can tell of it where aiortc is missing or broken.
"""

from __future__ import annotations

__all__ = ["AIORTC_RELEASE", "AIORTC_REQUIREMENT"]

AIORTC_RELEASE = "1.16"
AIORTC_REQUIREMENT = "aiortc>=1.16,<1.17"
"""As pip takes it."""
