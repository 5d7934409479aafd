"""The kinds of agents: each a `Kind` in a module of its own, with its tools."""
