"""Fetching an image by URL, where the configuration names its host: no way into the networks behind the gateway.

The name is resolved once, every address that it has must be a public one, and the connection goes to one of those very
addresses, so that a name server that changes its answer changes nothing. Redirects, proxies, credentials and
compression are not followed, used, sent or undone.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import SOCK_STREAM, gaierror

import httpx2

from sparkctl.agent_spec import Fetch
from sparkctl.agents.core.failure import Refused, TooLarge, Unavailable

Address = IPv4Address | IPv6Address
UNICAST = ip_network("2000::/3")
"""The only IPv6 addresses that are given to hosts of the internet (RFC 4291, IANA)."""
REFUSED = tuple(
    ip_network(one)
    for one in (
        "192.0.0.0/24",  # IETF protocols, RFC 6890
        "192.88.99.0/24",  # relays of 6to4, RFC 7526
        "2001::/23",  # Teredo and other protocols of the IETF, RFC 2928
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, which holds an IPv4 address, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
    )
)
"""Beside what Python's ipaddress calls not global: addresses that lead elsewhere."""
PORTS = {"http": 80, "https": 443}
HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "sparkctl"}


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet: not private, loopback, link-local, shared, multicast, reserved.

    IPv6 addresses that hold an IPv4 address (mapped, NAT64, 6to4, Teredo) are none, whatever they hold.
    """
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    if any(address in network for network in REFUSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def resolve(host: str, port: int) -> list[Address]:
    """Every address of a name, as the system's resolver gives them. Raises Unavailable."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except (gaierror, UnicodeError) as error:
        raise Unavailable(f"the host {host} has no address") from error
    return list(dict.fromkeys(ip_address(str(where[0]).partition("%")[0]) for *_, where in found))


@dataclass(frozen=True)
class Network:
    """How the outside is reached: names to addresses, which of them are allowed, and whose certificates count."""

    resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = resolve
    allows: Callable[[Address], bool] = is_public
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)


async def fetch(url: str, rules: Fetch, most: int, network: Network | None = None) -> bytes:
    """The body at a URL, at most `most` bytes, within `rules.seconds`.

    Raises Refused for what the rules exclude, TooLarge, Unavailable where the host does not answer with 200.
    """
    asked = _checked(url, rules)
    network = network or Network()
    try:
        async with asyncio.timeout(rules.seconds):
            addresses = await network.resolve(_name(asked), _port(asked))
            if not addresses or not all(map(network.allows, addresses)):
                raise Refused(f"the host {asked.host} has an address that is not of the public internet")
            return await _read_first(asked, addresses, most, network.trust)
    except TimeoutError as error:
        raise Unavailable(f"{asked.host} did not send the image within {rules.seconds:g} s") from error


def _checked(url: str, rules: Fetch) -> httpx2.URL:
    """The URL, parsed once, by the parser of the library that connects. Raises Refused."""
    asked = _parsed(url, "this is no URL that an image could be fetched from")
    if asked.scheme not in PORTS:
        raise Refused("an image is fetched by https or http only")
    if asked.userinfo:
        raise Refused("a URL with a user or a password in it is not fetched")
    if (_name(asked), _port(asked)) not in _allowed(rules, asked.scheme):
        raise Refused(f"no image is fetched from {asked.netloc.decode() or 'nowhere'}: fetch.hosts does not name it")
    return asked


def _parsed(url: str, otherwise: str) -> httpx2.URL:
    try:
        return httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Refused(otherwise) from error


def _allowed(rules: Fetch, scheme: str) -> set[tuple[str, int]]:
    """The hosts with their ports; one without has the scheme's."""
    hosts = [_parsed(f"{scheme}://{host}", f"fetch.hosts names {host}, which is no host") for host in rules.hosts]
    return {(_name(one), _port(one)) for one in hosts}


def _name(url: httpx2.URL) -> str:
    """The host as it is on the wire: IDNA, lower case."""
    return url.raw_host.decode("ascii").lower()


def _port(url: httpx2.URL) -> int:
    return url.port or PORTS[url.scheme]


async def _read_first(asked: httpx2.URL, addresses: Sequence[Address], most: int, trust: ssl.SSLContext) -> bytes:
    """From the first of the addresses that takes the connection. Raises Unavailable."""
    async with httpx2.AsyncClient(verify=trust, trust_env=False, timeout=None) as client:  # `fetch` has the time limit
        for address in addresses:
            try:
                return await _read(client, asked, address, most)
            except httpx2.ConnectError:
                continue
            except httpx2.HTTPError as error:
                raise Unavailable(f"{asked.host} broke off: {type(error).__name__}") from error
    raise Unavailable(f"{asked.host} takes no connection")


async def _read(client: httpx2.AsyncClient, asked: httpx2.URL, address: Address, most: int) -> bytes:
    there = asked.copy_with(host=str(address), fragment=None)
    headers = HEADERS | {"Host": asked.netloc.decode("ascii")}
    async with client.stream("GET", there, headers=headers, extensions={"sni_hostname": _name(asked)}) as answer:
        if answer.is_redirect:
            raise Refused(f"{asked.host} redirects elsewhere, which is not followed")
        if answer.status_code != httpx2.codes.OK:
            raise Unavailable(f"{asked.host} answered with {answer.status_code}")
        body = bytearray()
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > most:
                raise TooLarge(f"the image at {asked.host} has more than {most / 2**20:g} MiB")
        return bytes(body)
