"""The HTTP client of the raw path: bytes from an engine to a client, with nothing understood in between."""

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 3.0
"""How long an unused connection is kept: below the 5 s after which uvicorn, so vLLM, closes it in mid-request."""


def open_upstream(read_seconds: float) -> ClientSession:
    """A session without a limit of connections, cookies, proxies and decompression; needs a running event loop.

    `read_seconds` is the longest silence of an engine.
    """
    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=read_seconds),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )
