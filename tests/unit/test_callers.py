"""Who calls, behind proxies or not: no stranger chooses the address that is counted."""

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.callers import caller_address, subscriber_of

OURS = [ip_network("10.0.0.0/8"), ip_network("::1/128")]
RESIDENT = "203.0.113.7"


@pytest.mark.parametrize(
    ("remote", "told", "caller"),
    [
        (RESIDENT, [], RESIDENT),
        (RESIDENT, ["198.51.100.1"], RESIDENT),
        ("10.0.0.2", [RESIDENT], RESIDENT),
        ("10.0.0.2", ["198.51.100.1, 203.0.113.7"], RESIDENT),
        ("10.0.0.2", ["198.51.100.1", "203.0.113.7, 10.1.1.1"], RESIDENT),
        ("10.0.0.2", ["203.0.113.7:51234"], RESIDENT),
        ("::ffff:10.0.0.2", ['"[2001:db8::7]:51234"'], "2001:db8::7"),
        ("::1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.2", ["unknown"], "10.0.0.2"),
        ("10.0.0.2", ["203.0.113.7, unknown"], "10.0.0.2"),
        ("10.0.0.2", [], "10.0.0.2"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_nearest_address_that_is_no_proxy_of_ours(remote: str, told: list[str], caller: str) -> None:
    """Read from the end, through our own proxies only; what is no address ends the reading."""
    assert caller_address(remote, told, OURS) == caller


@given(st.text(max_size=60), st.ip_addresses(v=4).filter(lambda one: one not in OURS[0]))
def test_what_a_stranger_writes_counts_for_nothing(forged: str, resident: IPv4Address) -> None:
    """Whatever a caller puts into the header, the entry that our proxy adds behind it is taken."""
    assert caller_address("10.0.0.2", [f"{forged}, {resident}"], OURS) == str(resident)
    assert caller_address(str(resident), [forged], OURS) == str(resident)


def test_a_household_is_one_caller() -> None:
    """Every address of an IPv6 network of 64 bits is one caller; IPv4 addresses are one each."""
    assert subscriber_of("2001:db8::1") == subscriber_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert subscriber_of("2001:db8:0:1::1") != subscriber_of("2001:db8::1")
    assert subscriber_of(RESIDENT) == RESIDENT
