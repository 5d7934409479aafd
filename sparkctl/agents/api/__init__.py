"""The HTTP gateway: each module a router; `app.py` puts them together."""
