"""Opening one connection: the SSH configuration, the jump hosts, and what is said when it fails."""

import socket
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import fabric
import paramiko
from paramiko.auth_strategy import AuthFailure
from paramiko.ssh_exception import NoValidConnectionsError

from sparkctl.errors import HostKeyError, LoginError, SparkctlError, UnreachableError
from sparkctl.topology import Node
from sparkctl.transport.hostkeys import KnownHosts
from sparkctl.transport.keys import Offer, Unlock

SSH_PORT = 22
KEEPALIVE_SECONDS = 10
DEAD_AFTER_SECONDS = 30
"""How long sent bytes may stay unacknowledged before the connection counts as broken."""


def connect(node: Node, hosts: KnownHosts, *, timeout: float, unlock: Unlock | None = None) -> fabric.Connection:
    """Open the connection to a node, through the jump hosts of the user's SSH configuration.

    `timeout` in seconds is for each hop. Raises HostKeyError, LoginError, UnreachableError.
    """
    connection = _prepare(node, timeout)
    try:
        for hop in reversed(list(hops(connection))):
            identity = node.identity_file if hop is connection else ""
            _open(hop, node, hosts, _offer(hop, identity, unlock), timeout)
    except SparkctlError:
        close(connection)
        raise
    return connection


def close(connection: fabric.Connection) -> None:
    """Close the connection and the jump hosts under it, whatever state they are in."""
    for hop in hops(connection):
        # Not Connection.close(), which leaves a connection alone that broke while it was opened.
        hop.client.close()


def hops(connection: fabric.Connection) -> Iterator[fabric.Connection]:
    """The connection, then the jump hosts that it goes through, the nearest to the laptop last."""
    hop = connection
    while isinstance(hop, fabric.Connection):
        yield hop
        hop = hop.gateway


def _prepare(node: Node, timeout: float) -> fabric.Connection:
    config = fabric.Config(lazy=True)
    # The node's own values come first, so that tokens such as the %p of a ProxyCommand see them. A port of 22 is the
    # default of a node: the SSH configuration may say otherwise.
    own = [f"User {node.user}"] * bool(node.user) + [f"Port {node.port}"] * (node.port != SSH_PORT)
    config.base_ssh_config.parse(StringIO("\n".join([f"Host {node.address}", *own])))
    try:
        config.load_ssh_config()
        return fabric.Connection(node.address, config=config, connect_timeout=max(1, round(timeout)))
    except paramiko.SSHException as error:
        raise UnreachableError(
            f"the SSH configuration of this machine cannot be used: {error}",
            where=node.name,
            fix=f"mend it, then try: ssh -G {node.address}",
        ) from error


def _offer(hop: fabric.Connection, identity_file: str, unlock: Unlock | None) -> Offer:
    files = [identity_file] if identity_file else hop.ssh_config.get("identityfile", [])
    only = bool(identity_file) or hop.ssh_config.get("identitiesonly", "no").lower() == "yes"
    return Offer(hop.user, tuple(Path(file).expanduser() for file in files), only=only, unlock=unlock)


def _open(hop: fabric.Connection, node: Node, hosts: KnownHosts, offer: Offer, timeout: float) -> None:
    place = f"{hop.user}@{hop.host}:{hop.port}"
    hop.client.set_missing_host_key_policy(hosts)
    hop.connect_kwargs = {
        "auth_strategy": offer,
        "banner_timeout": timeout,
        "auth_timeout": 2 * timeout,
        "transport_factory": _transport_factory(hop, hosts),
    }
    try:
        hop.open()
    except HostKeyError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        if isinstance(error, paramiko.AuthenticationException) and not _timed_out(error):
            raise _login_error(node, place, offer) from error
        raise UnreachableError(
            f"{node.name} ({place}) {_wording(error, timeout)}", where=node.name, fix=_fix(error, hop)
        ) from error
    hop.transport.set_keepalive(KEEPALIVE_SECONDS)


def _transport_factory(hop: fabric.Connection, hosts: KnownHosts) -> Callable[..., paramiko.Transport]:
    name = hop.host if int(hop.port) == SSH_PORT else f"[{hop.host}]:{hop.port}"

    def make(sock: Any, **options: Any) -> paramiko.Transport:
        _tune(sock)
        transport = paramiko.Transport(sock, **options)
        security = transport.get_security_options()
        security.key_types = hosts.preferred_types(name, security.key_types)
        return transport

    return make


def _tune(sock: object) -> None:
    if not isinstance(sock, socket.socket):  # a channel of a jump host, or a proxy command
        return
    # Without it Nagle's algorithm and delayed acknowledgements cost 40 ms for each command.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * DEAD_AFTER_SECONDS)


def _login_error(node: Node, place: str, offer: Offer) -> LoginError:
    keys = ", ".join(offer.notes) or "none (no agent, no key file)"
    return LoginError(
        f"{node.name} ({place}) refuses user {offer.user}; keys: {keys}",
        where=node.name,
        fix=f"check the user name, then put your public key there: ssh-copy-id {_copy_id(place)}",
    )


def _copy_id(place: str) -> str:
    target, _, port = place.rpartition(":")
    return target if int(port) == SSH_PORT else f"-p {port} {target}"


def _wording(error: Exception, timeout: float) -> str:
    if isinstance(error, NoValidConnectionsError):
        error = next(iter(error.errors.values()))
    if isinstance(error, socket.gaierror):
        return "has no address: the name was not found"
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections: no SSH server listens on that port"
    if _timed_out(error):
        return f"did not answer within {timeout:g} s"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be reached: {error.strerror.lower()}"
    return f"answers, but not as an SSH server should: {str(error) or 'the connection was closed'}"


def _timed_out(error: BaseException) -> bool:
    """Paramiko wraps some time-outs; those of a log-in are among the results of the keys."""
    if isinstance(error, AuthFailure):
        return any("timeout" in str(result.result) for result in error.result)
    # "No existing session" is said when the time for the whole handshake is over.
    late = isinstance(error, paramiko.SSHException) and str(error) == "No existing session"
    return late or isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _fix(error: Exception, hop: fabric.Connection) -> str:
    if isinstance(error, socket.gaierror):
        return f"use an IP address, or make the name known: getent hosts {hop.host}"
    return f"is it switched on and on this network? try: ssh -v -p {hop.port} {hop.user}@{hop.host} true"
