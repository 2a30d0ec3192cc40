"""numpy, imported when it is first used: `from rtcvoice.sound import numpy_later as np`.

Importing numpy takes as long as several round trips on a near network. Whoever defines a source or
a sink should not wait for it: a call imports it in a thread while its first request travels. From
its first use on, a name here is an attribute like any other, and costs no more.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import *  # noqa: F403  (for type checkers it is numpy itself)
else:

    def __getattr__(name: str) -> object:
        import numpy as np

        value = getattr(np, name)
        globals()[name] = value
        return value
