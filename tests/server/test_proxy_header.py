"""The header of the PROXY protocol: who the client is, where it ends, and what is none."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol import ProxyProtocol
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from chatfile.server import proxy_header
from chatfile.server.proxy_header import LONGEST_V1, LONGEST_V2, ProxyHeader, parse_proxy_header
from tests.support.proxied import LOCAL, SIGNATURE, V1, V2, ends, field, v2

CLIENT = IPv4Address("TCP", "192.0.2.7", 4711)
CLIENT6 = IPv6Address("TCP", "2001:db8::9", 4711)
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
LONG = field(0xE0, b"x" * (LONGEST_V2 - 16 - 12 - 3))
GOOD = {
    V1: CLIENT,
    b"PROXY TCP6 2001:DB8:0:0:0:0:0:9 ::1 4711 0\r\n": CLIENT6,
    b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 4711 5000\r\n": CLIENT,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": IPv4Address("TCP", "255.255.255.255", 65535),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN " + b"f" * (LONGEST_V1 - 16) + b"\r\n": None,
    b"PROXY UNKNOWN \0\xff whatever it is\r\n": None,
    V2: CLIENT,
    v2(0x21, ends("2001:db8::9", 4711)): CLIENT6,
    v2(0x21, ends("::ffff:c000:207", 4711)): CLIENT,
    v2(0x12, ends("192.0.2.7", 4711)): CLIENT,
    v2(0x11, ends("192.0.2.7", 4711) + field(5, b"unique") + field(3, b"crc.") + field(1, b"h2")): CLIENT,
    v2(0x11, ends("192.0.2.7", 4711) + b"\xe0\xff\xffcut"): CLIENT,
    v2(0x11, ends("192.0.2.7", 4711) + LONG): CLIENT,
    v2(0x31, UNIX): UNIXAddress(None),
    v2(0x31, "/run/é".encode().ljust(216, b"\0")): UNIXAddress(None),
    v2(0x00, b""): None,
    v2(0x00, field(3, b"xxxx")): None,
    v2(0x41, b"of a family to come"): None,
}
BAD = (
    b"hello\n",
    b"GET / HTTP/1.0\r\n",
    b"\x16\x03\x01",  # TLS
    b"\n",
    b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 5000\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 5000 \r\n",
    b"PROXY TCP4  192.0.2.7 198.51.100.1 4711 5000\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 5000\r\n",
    b"PROXY TCP4 192.0.2.07 198.51.100.1 4711 5000\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 5000\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 5000\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 5000\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 1_0 5000\r\n",
    b"PROXY TCP4 2001:db8::9 ::1 4711 5000\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 5000\r\n",
    b"PROXY TCP6 fe80::1%\x1b[2J ::1 4711 5000\r\n",
    b"PROXY TCP4 evil\x1b[2J 198.51.100.1 4711 5000\r\n",
    b"PROXY TCP4 192.0.2.7\r198.51.100.1 4711 5000\r\n",
    b"PROXY UNKNOWNTOO\r\n",
    b"proxy unknown\r\n",
    b"PROXY UNKNOWN " + b"f" * LONGEST_V1,
    v2(0x11, ends("192.0.2.7", 4711), 0x31),
    v2(0x11, ends("192.0.2.7", 4711), 0x22),
    v2(0x31, UNIX, 0x22),
    v2(0x11, ends("192.0.2.7", 4711)[:-1]),
    v2(0x21, ends("192.0.2.7", 4711)),
    v2(0x11, b""),
    v2(0x11, ends("192.0.2.7", 4711) + field(3, b"no crc")),
    v2(0x11, ends("192.0.2.7", 4711) + LONG + b"x")[:16],
    SIGNATURE + b"\x21\x11\xff\xff",
)


@pytest.mark.parametrize("header", GOOD)
def test_a_header_tells_where_the_client_is(header: bytes) -> None:
    found = parse_proxy_header(header + b"get a\n")
    assert found is not None
    assert (found.length, found.client, found.is_local) == (len(header), GOOD[header], False)


@pytest.mark.parametrize("block", [b"", ends("192.0.2.7", 4711), ends("3.0.1.1", 4711), b"\3\0\1x", b"\xff" * 216])
def test_a_proxy_speaks_for_itself_whatever_else_it_says(block: bytes) -> None:
    header = v2(0x11, block, 0x20)
    assert parse_proxy_header(header) == ProxyHeader(len(header), is_local=True)


@pytest.mark.parametrize("header", BAD)
def test_what_is_no_header_is_found_out_at_once_and_told_in_our_words(header: bytes) -> None:
    with pytest.raises(ValueError, match="PROXY header") as raised:
        parse_proxy_header(header)
    assert str(raised.value).isascii()
    assert str(raised.value).isprintable()


def test_a_checksum_that_the_library_would_find_wrong_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can only check where crc32c is installed, and has the fields in an order of its own then."""
    monkeypatch.setattr("proxyprotocol.tlv.crc32c_checksum", lambda data, crc=0: crc + sum(data))
    header = v2(0x11, ends("192.0.2.7", 4711) + field(3, b"crc.") + field(1, b"h2"))
    found = parse_proxy_header(header)
    assert found is not None
    assert found.client == CLIENT


@pytest.mark.parametrize("header", [*GOOD, LOCAL])
def test_until_it_is_whole_it_is_none(header: bytes) -> None:
    assert [parse_proxy_header(header[:end]) for end in range(len(header))] == [None] * len(header)


BEGINNINGS = st.sampled_from([*GOOD, *BAD, LOCAL]).flatmap(
    lambda header: st.integers(0, len(header)).map(lambda end: header[:end])
)
SAID = st.builds(bytes.__add__, BEGINNINGS, st.binary(max_size=300))


@given(SAID, st.integers(0, 400))
def test_any_bytes_are_a_header_within_the_limits_or_none_however_they_are_cut(said: bytes, end: int) -> None:
    def outcome(data: bytes) -> ProxyHeader | str | None:
        try:
            return parse_proxy_header(data)
        except ValueError:
            return "bad"

    whole, begun = outcome(said), outcome(said[:end])
    assert begun in (None, whole), "what was decided stays so"
    if isinstance(whole, ProxyHeader):
        assert whole.length <= (LONGEST_V2 if said.startswith(SIGNATURE) else LONGEST_V1)
        assert begun is (None if end < whole.length else begun)
        assert outcome(said[: whole.length]) == whole


@given(st.sampled_from([b"PROXY ", SIGNATURE]), st.binary(min_size=LONGEST_V2, max_size=LONGEST_V2))
def test_it_never_waits_for_more_than_the_longest_header(begin: bytes, rest: bytes) -> None:
    try:
        assert parse_proxy_header(begin + rest) is not None
    except ValueError:
        pass


PORTS = st.integers(0, 65535)


@given(st.ip_addresses(v=4), PORTS, st.ip_addresses(v=6), st.sampled_from([ProxyProtocolV1(), ProxyProtocolV2()]))
def test_what_another_program_writes_is_read(
    four: ipaddress.IPv4Address, port: int, six: ipaddress.IPv6Address, version: ProxyProtocol
) -> None:
    for ip, result in ((four, ProxyResultIPv4), (six, ProxyResultIPv6)):
        found = parse_proxy_header(version.pack(result((ip, port), (ip, 5000))))
        assert found is not None
        shown = proxy_header.unmapped(ip)
        assert found.client == (IPv4Address if shown.version == 4 else IPv6Address)("TCP", str(shown), port)
