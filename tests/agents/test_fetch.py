"""Attacks on the fetching of images, over real sockets: what may be reached, and how much of it is read."""

import asyncio
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest
from fetching import HOST, fetched
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture
from raw_server import Names, fixed, listening, ok

from sparkctl.agent_spec import Fetch
from sparkctl.agents.core.failure import Refused, Unavailable
from sparkctl.agents.images.fetch import Network, fetch, is_public

RULES = Fetch(hosts=(HOST,), seconds=60)


PUBLIC = IPv4Address("93.184.215.14")


def test_an_image_of_a_named_host_is_fetched_by_its_name_from_its_address() -> None:
    data = picture()
    body, heads = fetched(fixed(ok(data)), "/a.png?size=2#part")
    assert body == data
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /a.png?size=2 HTTP/1.1"
    assert next(line for line in lines if line.lower().startswith("host: ")).partition(": ")[2].startswith(f"{HOST}:")
    assert not [line for line in lines if line.lower().startswith(("authorization", "cookie", "referer"))]


@pytest.mark.parametrize(
    "url",
    [
        f"http://other.example/{HOST}",
        f"http://{HOST}@evil.example/",
        f"http://{HOST}:80@evil.example/",
        f"http://{HOST}\\@evil.example/",
        f"http://user:word@{HOST}/",
        f"http://evil.example#@{HOST}/",
        f"http://evil.example?@{HOST}/",
        f"http://{HOST}.evil.example/",
        f"http://{HOST}%2eevil.example/",
        f"http://{HOST}%00.evil.example/",
        f"http://{HOST}./a.png",
        f"http://evil{HOST}/",
        f"http://{HOST}:8080/",
        f"http://{HOST}:443/",
        f"https://{HOST}:80/",
        f"http://{HOST}\t.evil.example/",
        f"http://{HOST}\r\nX: y/",
        "http://ｐictures.example/",
        "http://pictureſ.example/",
        "http://рictures.example/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data/",
        f"file://{HOST}/etc/passwd",
        f"ftp://{HOST}/a",
        f"gopher://{HOST}/a",
        f"//{HOST}/a",
        f"http:{HOST}/a",
        f" http://{HOST}/a",
        "data:image/png;base64,AAAA",
        "",
        "http://",
        "http://[/",
    ],
)
def test_a_url_of_no_named_host_is_refused_before_any_name_is_resolved(url: str) -> None:
    names = Names([str(PUBLIC)])
    with pytest.raises(Refused):
        asyncio.run(fetch(url, RULES, 10_000, Network(names)))
    assert names.asked == 0


def test_where_no_host_is_named_no_url_is_fetched() -> None:
    with pytest.raises(Refused, match=r"fetch\.hosts"):
        asyncio.run(fetch(f"https://{HOST}/a.png", Fetch(), 10_000, Network(Names([str(PUBLIC)]))))


@pytest.mark.parametrize("form", ["2130706433", "0x7f000001", "127.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]"])
def test_an_address_in_disguise_is_refused_even_where_it_is_named(form: str) -> None:
    """The system's own resolver reads these as loopback."""
    with pytest.raises((Refused, Unavailable)) as refused:
        asyncio.run(fetch(f"http://{form}/", Fetch(hosts=(form,)), 10_000))
    assert "public internet" in refused.value.message or "has no address" in refused.value.message


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.215.14",
        "64:ff9b::7f00:1",
        "64:ff9b::5db8:d70e",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "3fff::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00::1",
        "ff02::1",
        "100::1",
        "4000::1",
    ],
)
def test_an_address_that_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(Refused, match="public internet"):
        asyncio.run(fetch(f"http://{HOST}/", RULES, 10_000, Network(Names([address]))))
    with pytest.raises(Refused, match="public internet"):
        asyncio.run(fetch(f"http://{HOST}/", RULES, 10_000, Network(Names([str(PUBLIC), address]))))


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_that_is_public_holds_no_ipv4_address(address: Any) -> None:
    if is_public(address):
        assert not (address.ipv4_mapped or address.sixtofour or address.teredo or address.is_private)


def test_a_name_that_changes_its_address_is_asked_once_and_the_first_address_is_used() -> None:
    """Rebinding: the first answer is allowed, the second is another server; the connection goes to the first."""

    async def work() -> None:
        async with listening(fixed(ok(b"inside"))) as (port, heads):
            names = Names(["127.0.0.2"], ["127.0.0.1"])  # nothing listens on the first
            rules = Fetch(hosts=(f"{HOST}:{port}",), seconds=60)
            network = Network(names, lambda address: address == ip_address("127.0.0.2"))
            with pytest.raises(Unavailable, match="takes no connection"):
                await fetch(f"http://{HOST}:{port}/", rules, 10_000, network)
            assert (names.asked, heads) == (1, [])

    asyncio.run(work())


def test_of_several_addresses_the_first_that_answers_is_used() -> None:
    body, _ = fetched(fixed(ok(b"x")), names=Names(["127.0.0.2", "127.0.0.1"]))
    assert body == b"x"
