"""The addresses of the two halves of a Spark's fast port: arithmetic alone."""

from ipaddress import IPv4Interface, IPv4Network


def addresses(fabric_ip: str, prefix: int, second: str = "") -> tuple[tuple[str, int], tuple[str, int]]:
    """Address and prefix length of each half; the second keeps the place that the first has in its subnet.

    `second` is the subnet of the second half; empty for the next one of the same size: with /24 the third octet plus
    one (facts.md, B). Raises ValueError where it has no such place, or is no other subnet.
    """
    first = IPv4Interface(f"{fabric_ip}/{prefix}")
    place, start = int(first.ip) - int(first.network.network_address), int(first.network.network_address)
    subnet = IPv4Network(second or (start + first.network.num_addresses, prefix))
    if subnet.overlaps(first.network):
        raise ValueError(f"{subnet} overlaps {first.network}")
    if place >= subnet.num_addresses - (subnet.prefixlen < 31):  # the last one is for broadcasts
        raise ValueError(f"{subnet} has no place {place}, which {fabric_ip} has in {first.network}")
    return ((fabric_ip, prefix), (str(subnet.network_address + place), subnet.prefixlen))
