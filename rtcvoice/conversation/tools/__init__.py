"""Tools: the user's functions that the model calls.

toolset.py   what users hold: `@tool`, `ToolSet`, `ToolCall`
schema.py    a signature becomes a JSON schema, and checks the model's arguments; `docs.py`
             reads what the docstring says of them
runner.py    from a finished function call to its output, one task a call
work.py      where functions run: threads, processes; what they return, as text
events.py    what the user is told on the way
"""
