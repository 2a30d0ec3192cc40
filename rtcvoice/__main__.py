"""`python -m rtcvoice`: the command line."""

import sys

from rtcvoice.cli import main

sys.exit(main())
