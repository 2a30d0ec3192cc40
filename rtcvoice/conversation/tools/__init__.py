"""Tools: the user's functions that the model calls.

toolset.py   what users hold: `ToolSet`; each of its functions is a `Tool`, of `function_tool.py`,
             where `@tool` notes options
schema.py    a signature becomes a JSON schema, and checks the model's arguments. `parameters.py`
             reads the signature, `hints.py` its annotations, `docs.py` its docstring; `flat.py`
             is the schema's form, `fitting.py` mends what models write
runner.py    from a finished function call to its output, one task a call; `failures.py` says what
             went wrong on the way
mcp/         MCP servers as tools: started with the call; `served.py` is their place in the runner
hosted.py    tools of MCP servers that the service itself calls: approvals, and what is told
results.py   what a function returned, as text
work.py      processes for functions that compute
"""
