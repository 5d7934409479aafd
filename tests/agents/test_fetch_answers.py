"""What a host may answer to who fetches an image: redirects, drips, floods, half of HTTP, a wrong certificate."""

import asyncio
import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fetching import HOST, fetched
from raw_server import Names, fixed, listening, ok

from sparkctl.agent_spec import Fetch
from sparkctl.agents.core.failure import Refused, TooLarge, Unavailable
from sparkctl.agents.images.fetch import Network, fetch, resolve


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    async def work() -> None:
        async with listening(fixed(ok(b"inside"))) as (secret, heads):
            where = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:{secret}/\r\nContent-Length: 0\r\n\r\n"
            async with listening(fixed(where.encode())) as (port, _):
                rules = Fetch(hosts=(f"{HOST}:{port}", f"127.0.0.1:{secret}"), seconds=60)
                with pytest.raises(Refused, match="redirects"):
                    network = Network(Names(["127.0.0.1"]), lambda _: True)
                    await fetch(f"http://{HOST}:{port}/", rules, 10_000, network)
            assert heads == []

    asyncio.run(work())


def test_a_body_that_drips_is_left_when_the_time_is_over() -> None:
    async def drip(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    failure, _ = fetched(drip, seconds=0.4)
    assert isinstance(failure, Unavailable) and "within 0.4 s" in failure.message


def test_headers_that_drip_are_left_when_the_time_is_over() -> None:
    async def drip(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert isinstance(fetched(drip, seconds=0.4)[0], Unavailable)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"])
def test_an_endless_body_is_left_at_the_limit(head: bytes) -> None:
    sent = 0

    async def flood(_request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head)
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    failure, _ = fetched(flood, most=100_000)
    assert isinstance(failure, TooLarge)
    assert sent < 50_000_000


def test_what_is_compressed_stays_so() -> None:
    """A few bytes that would become many are a few bytes, and no picture."""
    body, _ = fetched(fixed(ok(b"\x1f\x8b" + b"\x00" * 20, "Content-Encoding: gzip\r\n")))
    assert body == b"\x1f\x8b" + b"\x00" * 20


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 300_000 + b"\r\n\r\n",
    ],
)
def test_a_host_that_does_not_answer_properly_is_told_of(answer: bytes) -> None:
    assert isinstance(fetched(fixed(answer))[0], Unavailable)


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetched(fixed(ok(b"x")))[0] == b"x"


@pytest.mark.parametrize(("name", "trusted"), [(HOST, True), ("evil.example", False)])
def test_the_certificate_must_be_of_the_name_that_was_asked(tmp_path: Path, name: str, trusted: bool) -> None:
    async def work() -> bytes:
        async with listening(fixed(ok(b"x")), server_tls(tmp_path, name)) as (port, _):
            trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")
            network = Network(Names(["127.0.0.1"]), lambda _: True, trust)
            rules = Fetch(hosts=(f"{HOST}:{port}",), seconds=60)
            return await fetch(f"https://{HOST}:{port}/", rules, 10_000, network)

    if trusted:
        assert asyncio.run(work()) == b"x"
    else:
        with pytest.raises(Unavailable):
            asyncio.run(work())


def server_tls(folder: Path, name: str) -> ssl.SSLContext:
    """A server's side, with a certificate of its own for that name; `cert.pem` is what a client may trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_the_systems_resolver_gives_addresses_and_a_name_without_any_is_told_of() -> None:
    assert ip_address("127.0.0.1") in asyncio.run(resolve("localhost", 80))
    with pytest.raises(Unavailable):
        asyncio.run(resolve("nothing.invalid", 80))
