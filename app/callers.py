"""Who calls, by network address, also behind proxies of our own. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address
_IPV6_SUBSCRIBER_BITS = 64  # a household has a network of this length and takes any address of it


def caller_address(remote: str, forwarded_for: Iterable[str], proxies: Sequence[Network]) -> str:
    """The address that a request came from: the nearest one that is no proxy of ours.

    `forwarded_for` holds the values of X-Forwarded-For in order. They are read from the end, and only as far as
    each address beside them is a trusted proxy: what a stranger writes there counts for nothing. An entry that is no
    address ends the reading at the proxy that added it.
    """
    nearest = _read(remote)
    if nearest is None:
        return remote
    for told in reversed([part.strip() for value in forwarded_for for part in value.split(",")]):
        if not any(nearest in network for network in proxies):
            break
        further = _read(told)
        if further is None:
            break
        nearest = further
    return str(nearest)


def subscriber_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, an IPv6 network of 64 bits; what is no address as it stands."""
    read = _read(address)
    if isinstance(read, IPv6Address):
        return str(ip_network((read, _IPV6_SUBSCRIBER_BITS), strict=False))
    return address


def _read(text: str) -> _Address | None:
    """An address, perhaps in brackets or with a port, as proxies write them; an IPv4 one mapped into IPv6 as itself."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
