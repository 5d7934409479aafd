"""The sandbox: a container without a network in which the code that models write is run.

`server.py` is its first process; `client.py` is how the gateway asks it. The two share a Unix socket, nothing else.
"""
