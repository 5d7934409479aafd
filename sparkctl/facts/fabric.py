"""The fabric as a node sees it: its interface, link, RoCE devices, and which peers answer over it."""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.lines import number, values
from sparkctl.facts.probe import Answer, Probe

IP_AND_ICMP_BYTES = 28
"""Bytes of an IPv4 header (20) and an ICMP header (8): what `ping -s` must stay below the MTU by."""

_SCRIPT = """\
nic={nic}
printf 'addresses=%s\\n' "$(ip -j addr show | tr -d '\\n')"
if command -v ethtool >/dev/null; then speed=$(timeout 2 ethtool "$nic" | sed -n 's/^[[:space:]]*Speed: //p'); fi
echo "speed=${{speed:-$(cat "/sys/class/net/$nic/speed")Mb/s}}"
if command -v ibdev2netdev >/dev/null; then timeout 2 ibdev2netdev | sed 's/^/rdma=/'; else
  for port in /sys/class/infiniband/*/ports/1; do
    [ -e "$port/state" ] || continue
    device=${{port%/ports/1}}
    case $(cat "$port/state") in *ACTIVE*) state=Up ;; *) state=Down ;; esac
    for net in "$device"/device/net/*; do
      [ -e "$net" ] && echo "rdma=${{device##*/}} port 1 ==> ${{net##*/}} ($state)"
    done
  done
fi
if ! command -v ping >/dev/null; then echo ping=missing; exit 0; fi
one() {{ ping -n -q -c 1 -W 1 -I "$nic" "$@" >/dev/null; }}
for peer in {peers}; do
  {{ one "$peer" && echo "reach=$peer"; }} &
  [ {payload} = 0 ] || {{ one -M do -s {payload} "$peer" && echo "whole=$peer"; }} &
done
wait
"""
_PORT = re.compile(r"en(?:P[0-9]+)?p[0-9]+s[0-9]+(f[0-9]+(?:np[0-9]+)?)")
_RDMA = re.compile(r"(\S+) port \d+ ==> (\S+) \((\w+)\)")


@dataclass(frozen=True)
class Interface:
    """One network interface; `mtu` in bytes, `addresses` without prefix."""

    name: str
    up: bool
    mtu: int | None
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class RdmaDevice:
    """A RoCE device and the interface that it shares its link with."""

    name: str
    interface: str
    up: bool


@dataclass(frozen=True)
class FabricFact:
    """The fabric from one node. `megabits` is the link speed in Mb/s, None where the driver does not say.

    `reached` are the peers that answered a ping through the interface, `whole` those that answered one of full MTU.
    """

    interfaces: tuple[Interface, ...]
    megabits: int | None
    rdma: tuple[RdmaDevice, ...]
    can_ping: bool
    reached: frozenset[str]
    whole: frozenset[str]

    def interface(self, name: str) -> Interface | None:
        """The interface of that name."""
        return next((one for one in self.interfaces if one.name == name), None)

    def carrier(self, address: str) -> Interface | None:
        """The interface that carries an address."""
        return next((one for one in self.interfaces if address in one.addresses), None)

    def twin(self, name: str) -> str:
        """The interface of the same port's other PCIe half, as the RoCE devices tell; empty where there is none.

        Both names end alike: enp1s0f1np1 and enP2p1s0f1np1 (facts.md, B).
        """
        port = _PORT.fullmatch(name)
        others = {device.interface for device in self.rdma} & {one.name for one in self.interfaces}
        matches = (_PORT.fullmatch(other) for other in sorted(others - {name}))
        return next((match[0] for match in matches if match and port and match[1] == port[1]), "")

    def rdma_devices(self, interface: str) -> tuple[str, ...]:
        """The RoCE devices that share the link of an interface."""
        return tuple(device.name for device in self.rdma if device.interface == interface)


def half_probe(address: str, peers: Iterable[str], mtu: int | None) -> Probe[FabricFact]:
    """The same of the interface that carries an address, whatever its name."""
    nic = f"$(ip -o -4 addr show to {shlex.quote(address)} | awk '{{ print $2; exit }}')"
    return Probe(f"half:{address}", _script(nic, peers, mtu), _fabric)


def fabric_probe(interface: str, peers: Iterable[str], mtu: int | None) -> Probe[FabricFact]:
    """Ask about one interface, and ping every peer through it, all at once; with `mtu` by unfragmented packets too."""
    return Probe(f"fabric:{interface}", _script(shlex.quote(interface), peers, mtu), _fabric)


def _script(nic: str, peers: Iterable[str], mtu: int | None) -> str:
    payload = mtu - IP_AND_ICMP_BYTES if mtu else 0
    return _SCRIPT.format(nic=nic, peers=" ".join(map(shlex.quote, peers)), payload=payload)


def _fabric(answer: Answer) -> FabricFact:
    found = values(answer.stdout)
    links = (_RDMA.fullmatch(line) for line in found.get("rdma", ()))
    return FabricFact(
        interfaces=_interfaces(next(iter(found.get("addresses", ())), "")),
        megabits=_megabits(next(iter(found.get("speed", ())), "")),
        rdma=tuple(RdmaDevice(link[1], link[2], link[3] == "Up") for link in links if link),
        can_ping="ping" not in found,
        reached=frozenset(found.get("reach", ())),
        whole=frozenset(found.get("whole", ())),
    )


def _megabits(text: str) -> int | None:
    """`200000Mb/s`; `Unknown!` and the kernel's -1 are None."""
    return number(text.removesuffix("Mb/s")) if text.endswith("Mb/s") else None


def _interfaces(text: str) -> tuple[Interface, ...]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(_interface(row) for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


def _interface(row: dict[str, Any]) -> Interface:
    """`operstate` UNKNOWN counts as up where the kernel says LOWER_UP: virtual links do not report a state."""
    flags, details = row.get("flags"), row.get("addr_info")
    carrier = row.get("operstate") == "UP" or (isinstance(flags, list) and "LOWER_UP" in flags)
    mtu = row.get("mtu")
    found = [info.get("local") for info in details if isinstance(info, dict)] if isinstance(details, list) else []
    return Interface(
        str(row.get("ifname", "")),
        carrier,
        mtu if isinstance(mtu, int) else None,
        tuple(address for address in found if isinstance(address, str)),
    )
