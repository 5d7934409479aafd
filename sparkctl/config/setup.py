"""`Setup`: what `sparkctl setup` makes of new Sparks, a part of the profile."""

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StrictBool,
    StringConstraints,
    model_validator,
)

from sparkctl.halves import addresses

Interface = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$")]
Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]{0,126}[a-z0-9+.]$")]
"""A name of Debian's, but none that ends in a minus: what apt-get is told to install so, it removes."""
Version = Annotated[str, StringConstraints(pattern=r"^([0-9]+(\.[0-9]+)*)?$", max_length=64)]
Uri = Annotated[str, StringConstraints(pattern=r"^(https?|file|copy)://?[!-~]+$", max_length=512)]
Part = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9./_-]+$", max_length=256)]


def _subnet(text: str) -> str:
    try:
        IPv4Network(text)
    except ValueError:
        raise ValueError("a subnet such as 192.168.101.0/24, with zeros behind its prefix") from None
    return text


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("two different interfaces")
    return names


def _armoured(text: str) -> str:
    begin, end = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
    if not (text.strip().startswith(begin) and text.strip().endswith(end) and text.isascii()):
        raise ValueError(f"a public key in ASCII armour, from {begin} to its end")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Source(_Part):
    """A package source of apt, in the terms of sources.list(5)."""

    uris: Annotated[tuple[Uri, ...], Field(min_length=1)] = Field(description="Where the packages are.")
    suites: Annotated[tuple[Part, ...], Field(min_length=1)] = Field(description="Suites, or a path that ends in /.")
    components: tuple[Part, ...] = Field(default=(), description="Components; none with a path.")
    key: Annotated[str, AfterValidator(_armoured)] = Field(description="Public key that signs it, in ASCII armour.")

    @model_validator(mode="after")
    def _as_apt_reads_it(self) -> "Source":
        if any(suite.endswith("/") == bool(self.components) for suite in self.suites):
            raise ValueError("components for suites by name, and none for a path that ends in /")
        return self


class Packages(_Part):
    """Where Docker and the NVIDIA Container Toolkit come from, on nodes that lack them."""

    docker: tuple[Package, ...] = Field(default=("docker.io",), description="Packages that bring Docker.")
    toolkit: tuple[Package, ...] = Field(
        default=("nvidia-container-toolkit",), description="Packages that bring nvidia-ctk."
    )
    sources: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")], Source] = Field(
        default_factory=dict, description="Package sources, by names of yours, added where something is missing."
    )


class Netplan(_Part):
    """Addresses of the two halves of the QSFP port, each in a subnet of its own."""

    write: StrictBool = Field(default=True, description="Whether /etc/netplan/40-sparkctl.yaml is written.")
    interfaces: Annotated[tuple[Interface, ...], Field(max_length=2), AfterValidator(_different)] = Field(
        default=(), description="Both halves; empty: the fabric interface, and its twin as ibdev2netdev tells."
    )
    second_subnet: Annotated[str, AfterValidator(_subnet)] | None = Field(
        default=None, description="Subnet of the second half; null: the next after the first (third octet plus one)."
    )
    mtu: Annotated[int, Strict(), Field(ge=1280, le=9216)] = Field(
        default=9000,
        description="MTU of both halves in bytes, checked from end to end; `fabric.mtu` wins where it is set.",
    )
    confirm_s: Annotated[float, Strict(), Field(ge=5, le=600, allow_inf_nan=False)] = Field(
        default=30, description="Seconds in which a node must answer SSH after a change, or it goes back by itself."
    )


class Setup(_Part):
    """What `sparkctl setup` sees to."""

    packages: Packages = Packages()
    min_driver: Version = Field(default="580", description="Least version of the NVIDIA driver; empty: any.")
    min_cuda: Version = Field(default="13.0", description="Least version of CUDA; empty: any.")
    toolkit: StrictBool = Field(default=True, description="Whether Docker gets the runtime nvidia.")
    netplan: Netplan = Netplan()
    ssh_mesh: StrictBool = Field(default=True, description="Whether every node gets a key and reaches every other.")
    sudoers: StrictBool = Field(default=False, description="Whether the login gets sudo without a password.")


def second_fault(wish: Netplan, fabric_ips: Iterable[str], prefix: int) -> str:
    """Why the second half cannot have the address that is written, or looked for; empty where it can."""
    try:
        for address in fabric_ips:
            addresses(address, prefix, wish.second_subnet or "")
    except ValueError as error:
        return str(error)
    return ""
