"""What strangers fed to programs of this kind, one test for each kind of input.

A test here begins with a public report, a log or a trial of somebody who did not know the code. Its
docstring says what it was seen with, in one line ("Seen with ..."), without names of products; the
test asserts what is right. One test per kind: its variants are parameters. A kind that belongs to
one part alone (a file's format, a field of an event) is a pure test beside that part's others; here
are those that cross parts, mostly as real calls on loopback.

To add one: make the emulator do it (a switch of `Faults`, see `emulator/session/other_servers.py`),
or write the input down; then assert what a user should see. No sleeping, no time of a clock.
"""
