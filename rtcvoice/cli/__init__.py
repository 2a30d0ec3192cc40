"""The command line: a caller in the terminal, and what helps around it.

    options.py   the commands and their options (parser.py: complaints that help)
    main.py      runs a command, explains how it ended (output.py), and returns the exit code
    talk.py      one call on the public API and nothing else, between the ends that call_ends.py
                 chooses; watch.py: what goes on beside it

What is shown goes through a screen: `screen.py` for pipes and JSON, `live.py` for terminals, with
the line that `status.py` draws and the keys of `keys.py`. `transcript.py`, `quality.py` and
`notices.py` are pure: what is said in order, the network in a word, what else there is to tell.
"""

from rtcvoice.cli.main import main

__all__ = ["main"]
