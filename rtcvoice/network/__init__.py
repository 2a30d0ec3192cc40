"""Networks that are as bad as asked for, and the same in every run.

`link.py` is one direction of a path in virtual time, `trace.py` a path's delays over time; both are
pure. `pump.py` runs a link on an event loop. Both sides of a call use them: the emulator, whose
clients then meet such a network, and `wire/`, whose calls meet it whatever server is called.
"""
