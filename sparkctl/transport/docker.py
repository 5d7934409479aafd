"""The Docker SDK on our own SSH connection: HTTP over `docker system dial-stdio`, one pooled channel per stream.

The SDK's own `ssh://` opens a second connection, without our host keys. Its errors (`docker.errors`, and
`requests.RequestException` where the engine goes away) reach the caller as they are.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import docker
import paramiko
import requests
from docker.transport.basehttpadapter import BaseHTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from sparkctl.transport.exec import request
from sparkctl.transport.stream import ChannelSocket, Undertaker

URL = "http+docker://ssh"
"""The name by which the SDK knows that its sockets are channels."""

COMMAND = "exec bash --norc -c 'printf \"\\001sparkctl\\002\\n\"; exec docker system dial-stdio' sparkctl"
TIMEOUT_SECONDS = 60
POOL_SIZE = 3
"""Idle channels that are kept; sshd allows ten sessions per connection."""

OpenChannel = Callable[[], paramiko.Channel]


class EngineSilent(Exception):
    """The engine did not answer; the text is what `docker system dial-stdio` printed on its standard error."""


def connect_engine(open_channel: OpenChannel) -> docker.DockerClient:
    """A client of the engine at the other end of the channels, speaking the engine's own API version.

    Raises EngineSilent when the engine does not run, the user may not speak to it, or there is no docker command.
    """
    adapter = ChannelAdapter(open_channel)
    with ExitStack() as on_failure:
        on_failure.callback(adapter.close)
        try:
            version = _api_version(adapter)
        except (requests.RequestException, paramiko.SSHException, OSError, EOFError) as error:
            raise EngineSilent(adapter.last_words() or str(error)) from error
        client = docker.DockerClient(base_url="http://ssh:80", version=version, timeout=TIMEOUT_SECONDS)
        client.api.mount(URL, adapter)
        client.api.base_url = URL
        on_failure.pop_all()
    return client


class ChannelAdapter(BaseHTTPAdapter):
    """Carries the requests of a `requests.Session` over channels."""

    def __init__(self, open_channel: OpenChannel) -> None:
        super().__init__()
        self._undertaker = Undertaker()
        self._channels = _Pool(open_channel, self._undertaker)

    def get_connection(self, url: str | bytes, proxies: Mapping[str, str] | None = None) -> HTTPConnectionPool:
        """The one pool of channels."""
        return self._channels

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """The path alone: no proxy stands between us and the engine."""
        return request.path_url

    def last_words(self) -> str:
        """What the newest channel's command printed on its standard error."""
        return self._channels.last_words()

    def close(self) -> None:
        """Close every channel."""
        super().close()
        self._channels.close()
        self._undertaker.finish()


class _Pool(HTTPConnectionPool):
    def __init__(self, open_channel: OpenChannel, undertaker: Undertaker) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS, maxsize=POOL_SIZE)
        self._open_channel = open_channel
        self._undertaker = undertaker
        self._newest: paramiko.Channel | None = None

    def dial(self) -> ChannelSocket:
        """A fresh channel with `docker system dial-stdio` at its other end."""
        channel = self._newest = self._open_channel()
        sock = ChannelSocket(channel, self._undertaker)
        request(channel, COMMAND, TIMEOUT_SECONDS)
        return sock

    def last_words(self) -> str:
        words = b""
        while self._newest and self._newest.recv_stderr_ready():
            words += self._newest.recv_stderr(4096)
        return words.decode("utf-8", "replace").strip()

    def _new_conn(self) -> "_Connection":
        return _Connection(self)


class _Connection(HTTPConnection):
    def __init__(self, pool: _Pool) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._pool = pool
        self._channel: ChannelSocket | None = None

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and self._channel is not None and self._channel.usable

    def connect(self) -> None:
        self._channel = self._pool.dial()
        self.sock = self._channel

    def close(self) -> None:
        super().close()
        self._channel = None


def _api_version(adapter: BaseHTTPAdapter) -> str:
    with requests.Session() as session:
        session.trust_env = False
        session.mount(URL, adapter)
        answer = session.get(f"{URL}/version", timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        version = str(answer.json()["ApiVersion"])
        session.adapters.clear()  # leaving the session would close the adapter
    return version
