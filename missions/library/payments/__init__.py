"""The demo payment server: a real MCP server in a process of its own, with its own ledger.

`python -m missions.library.payments --port 8765 --data DIR`. It stands for somebody else's payment system: it knows
nothing of missions, imports nothing of the engine, and can be told to misbehave (docs/tools.md lists the faults).
"""
