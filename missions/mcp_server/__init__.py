"""What agents that run elsewhere reach by MCP, at `/mcp`: the verbs of the REST API as tools.

`door` lets callers in, `serving` speaks the protocol, `offers` holds the tools, `rest` carries a call to the API.
Promises: no tool has a rule of its own. Importing this package loads no MCP library; the first request does.
"""
