"""Where URLs lead and which addresses may be called, against every disguise we know."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.addresses import check_addresses, place_of, reach_of
from watchkeeper.core.errors import Invalid

PRIVATE = [
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "127.0.0.1",
    "127.1.2.3", "100.64.0.1", "100.127.255.255", "198.18.0.1", "::1", "fd00::1", "fc00::1",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.0.1", "169.254.169.254", "169.254.170.2", "192.0.0.192",  # noqa: S104
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "100.100.100.200", "168.63.129.16", "::", "fe80::1", "fec0::1", "ff02::1",
    "fd00:ec2::254", "fd00:ec2::23", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a9fe:a9fe::", "::127.0.0.1", "::169.254.169.254",
    "2001::1", "2001:db8::1", "3fff::1", "100::1", "4000::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111",
          "::ffff:8.8.8.8", "64:ff9b::808:808"]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "reach"),
    [(one, kind) for kind, some in (("private", PRIVATE), ("never", NEVER), ("public", PUBLIC))
     for one in some],
)  # fmt: skip
def test_every_special_range_is_known(address: str, reach: str) -> None:
    assert reach_of(ip_address(address)) == reach


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_embedded_address_never_reaches_further_than_itself(inner: IPv4Address) -> None:
    order = {"never": 0, "private": 1, "public": 2}
    value = int(inner)
    for outer in (
        IPv6Address((0xFFFF << 32) | value),
        IPv6Address(value),
        IPv6Address((0x0064FF9B << 96) | value),
        IPv6Address((0x2002 << 112) | (value << 80)),
    ):
        assert order[reach_of(outer)] <= order[reach_of(inner)] or int(outer) == 1
    if not inner.is_global:
        assert reach_of(inner) != "public"


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "017700000001",
     "127.0.0.01", "1.2.3.4.5", "256.1.1.1", "0x", "a.0x7f", "1.1.1.1.", "127.0.0.1%2e",
     "①②⑦.0.0.1", "127。0。0。1", "exam%70le.org", "a b", "a\tb", "[::1%25eth0]", "[fe80::1%eth0]",
     "[::ffff:169.254.169.254]", "[::1", "0.0.0.0", "169.254.169.254", "[fd00:ec2::254]", "[::]",  # noqa: S104
     "user@10.0.0.1", "user:word@example.org", "@example.org", "example.org\\@10.0.0.1", "", ".",
     "a..b", "example.org.", "example.org:0", "example.org:99999", "example.org:x", "-x"],
)  # fmt: skip
def test_a_host_that_can_be_read_two_ways_is_refused(host: str) -> None:
    with pytest.raises(Invalid):
        place_of(f"http://{host}/mcp")


@pytest.mark.parametrize(
    ("url", "origin", "local"),
    [
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080", True),
        ("http://localhost:9/x", "http://localhost:9", True),
        ("https://API.Example.org/v1?x=1", "https://api.example.org:443", False),
        ("http://10.1.2.3", "http://10.1.2.3:80", True),
        ("http://[::1]:8080/", "http://[::1]:8080", True),
        ("https://8.8.8.8/", "https://8.8.8.8:443", False),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example:443", False),
        ("http://my_service:8080/", "http://my_service:8080", False),
    ],
)
def test_a_plain_url_leads_to_one_place(url: str, origin: str, local: bool) -> None:
    place = place_of(url)
    assert (place.origin, place.declared_local) == (origin, local)


@pytest.mark.parametrize("url", ["ftp://example.org/", "file:///etc/passwd", "//example.org", "x"])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(Invalid):
        place_of(url)


def test_one_bad_address_spoils_a_name() -> None:
    check_addresses("example.org", ["1.1.1.1", "8.8.8.8"], allow_private=False)
    check_addresses("intern.example.org", ["10.0.0.1", "1.1.1.1"], allow_private=True)
    check_addresses("localhost", ["127.0.0.1", "::1"], allow_private=False)
    for found, allow in (
        (["1.1.1.1", "10.0.0.1"], False),
        (["10.0.0.1", "169.254.169.254"], True),
        (["1.1.1.1", "fd00:ec2::254"], True),
        (["not an address"], True),
    ):
        with pytest.raises(Invalid):
            check_addresses("example.org", found, allow_private=allow)
    with pytest.raises(Invalid):
        check_addresses("localhost", ["10.0.0.1"], allow_private=True)
