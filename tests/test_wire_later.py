"""aioice without its mDNS: left out until it is used, and then the real one."""

import subprocess
import sys

CODE = """
import sys
import rtcvoice.wire.leg
from aioice import ice, mdns
assert "dns" not in sys.modules, "imported with aioice"
assert mdns.is_mdns_hostname("0c8ea5f4-d0e2-4bb0-8b1b-a54c1f2a0b0e.local")
assert not mdns.is_mdns_hostname("192.0.2.1") and not mdns.is_mdns_hostname("a.b.local")
assert "dns" not in sys.modules, "imported to look at a name"
assert mdns.create_mdns_hostname().endswith(".local")
assert "dns" in sys.modules
import aioice.mdns
assert aioice.mdns is mdns is ice.mdns is sys.modules["aioice.mdns"]
assert mdns.MDnsProtocol.__module__ == "aioice.mdns"
assert mdns.is_mdns_hostname.__module__ == "aioice.mdns"
"""
FIRST = """
import aioice.mdns, sys
before = aioice.mdns
import rtcvoice.wire.leg
assert aioice.mdns is before
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_mdns_is_imported_when_it_is_used() -> None:
    run(CODE)


def test_what_is_imported_already_stays() -> None:
    run(FIRST)
