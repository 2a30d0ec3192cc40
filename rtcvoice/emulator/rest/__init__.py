"""The emulator's HTTP side: `app.py` routes and refuses, `body.py` reads, `tokens.py` remembers."""
