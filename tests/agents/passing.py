"""Requests that pass through the gateway to an engine."""

from standins.scripted import MODEL

HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
