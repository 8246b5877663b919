"""Tools: what missions may do to the world, by Python functions and by MCP servers."""
