"""Local MCP servers as tools: started with a call, and stopped with it.

server.py      what users hold: `McpServer`, a command or an address
environment.py what of our environment such a process may see
package.py     the only owner of the package `mcp`, which is an extra
process.py     a server as a process of its own: its pipes, its last words, its end
connection.py  one running server: its owner's task, its list of tools, its calls
offered.py     what a server offers, as tools that the service takes
results.py     what a call gave, as the text that the model gets
servers.py     the servers of one call
"""
