"""The build: what becomes a node, when it is stale, and how doit runs it."""
