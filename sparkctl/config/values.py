"""The types of single values: each turns text into its value or says that it cannot, with ValueError."""

import ipaddress
import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?(:[A-Za-z0-9][A-Za-z0-9._-]*)?$"
IMAGE_REF = r"^[a-z0-9][A-Za-z0-9._:/@-]*$"
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.:%-]{0,251}[A-Za-z0-9_])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_NODE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_SIZE = re.compile(r"(?P<number>\d{1,9}(\.\d{1,6})?)\s*(?P<unit>[kmgt])?(i?b)?", re.IGNORECASE)
_GIB = {"": 1 / (1 << 30), "k": 1 / (1 << 20), "m": 1 / 1024, "g": 1.0, "t": 1024.0}


def parse_size(text: str) -> float:
    """A size as Docker writes it (`16g`, `10.24g`, `512m`, bytes without a unit) in GiB. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(text)
    return float(match["number"]) * _GIB[(match["unit"] or "").lower()]


def parse_target(text: str) -> tuple[str, str, int | None]:
    """User ('' where none is named), host and port (None where none is named) of `[user@]host[:port]`.

    Raises ValueError.
    """
    user, at, rest = text.rpartition("@")
    host, colon, port = rest.rpartition(":") if rest.count(":") == 1 else (rest, "", "")
    if (at and not _USER.fullmatch(user)) or not _HOST.fullmatch(host) or (colon and not _is_port(port)):
        raise ValueError(text)
    return user, host, int(port) if colon else None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535


def _ipv4(text: str) -> str:
    if not text:
        return text
    address = ipaddress.IPv4Address(text)
    if address.is_unspecified or address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        raise ValueError(text)
    return str(address)


def _fabric_ipv4(text: str) -> str:
    checked = _ipv4(text)
    if checked and ipaddress.IPv4Address(checked).is_loopback:
        raise ValueError(text)
    return checked


def _cidr(text: str) -> str:
    if not text:
        return text
    if re.fullmatch(r"/?\d{1,2}", text):
        text = f"/{text.lstrip('/')}"
        ipaddress.IPv4Interface(f"10.0.0.0{text}")
        return text
    return str(ipaddress.IPv4Interface(text))


def _target(text: str) -> str:
    if text:
        parse_target(text)
    return text


def _matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(text: str) -> str:
        if text and not pattern.fullmatch(text):
            raise ValueError(text)
        return text

    return AfterValidator(check)


def _node_path(text: str) -> str:
    """A folder on a node: absolute, or below the home folder; nothing that a mount or a shell could misread."""
    plain = re.fullmatch(r"(~|/)[A-Za-z0-9_@%+=./-]*", text)
    if not plain or not re.match(r"~/.|/[^/]", text) or ".." in text.split("/"):
        raise ValueError(text)
    return text.rstrip("/")


def _laptop_path(text: str) -> str:
    if "\0" in text or (text.startswith("~") and not text.startswith("~/")):
        raise ValueError(text)
    return text


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._~/-]*)?", text):
        raise ValueError(text)
    return text.rstrip("/")


def _secret(text: object) -> object:
    if isinstance(text, str) and not re.fullmatch(r"[!-~]{0,4096}", text):
        raise ValueError
    return text


def _words(text: str) -> str:
    shlex.split(text)
    return text


def _items(text: object) -> object:
    return tuple(re.split(r"[,\s]+", text.strip(", \t\n"))) if isinstance(text, str) and text.strip(", \t\n") else ()


Ip = Annotated[str, AfterValidator(_ipv4)]
FabricIp = Annotated[str, AfterValidator(_fabric_ipv4)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Target = Annotated[str, AfterValidator(_target)]
Interface = Annotated[str, _matching(_INTERFACE)]
User = Annotated[str, _matching(_USER)]
NodeName = Annotated[str, _matching(_NODE)]
Port = Annotated[int, Field(ge=1, le=65535)]
NodePath = Annotated[str, AfterValidator(_node_path)]
LaptopPath = Annotated[str, AfterValidator(_laptop_path)]
Url = Annotated[str, AfterValidator(_url)]
Size = Annotated[float, BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value)]
Words = Annotated[str, AfterValidator(_words)]
Secret = BeforeValidator(_secret)
Items = BeforeValidator(_items)
