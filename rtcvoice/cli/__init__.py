"""The command line: a caller in the terminal, and what helps around it.

    options.py   the commands and their options (parser.py: complaints that help)
    main.py      runs a command, explains how it ended (output.py), and returns the exit code
    talk.py      one call on the public API and nothing else, between the ends that call_ends.py
                 chooses; watch.py: what goes on beside it

    config_file.py   the user's usual options; completion.py, known.py: what else can be asked

What is shown goes through a screen: `screen.py` for pipes and JSON, `transcript_file.py` for a
file, `live.py` for terminals, painted by `painter.py`, with the line that `status.py` draws and the
keys of `keys.py`. `transcript.py`, `quality.py`, `notices.py` and `chat_commands.py` are pure: the
lines of both sides in order, the network in a word, what else there is to tell, and what a line
means that was written at the prompt.
"""

from rtcvoice.cli.main import main

__all__ = ["main"]
