"""Where nothing may be sent to, one refused URL a line; and what may."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from approvals.outbound import guard

PUBLIC = "93.184.215.14"
REFUSED = [
    "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "javascript:alert(1)", "//example.org/", "",
    "http://", "http://./", "http://user@example.org/", "http://user:secret@example.org/", "http://@127.0.0.1/",
    "http://example.org:22/", "http://example.org:25/", "http://example.org:6379/", "https://example.org:0/",
    "http://example.org\\@127.0.0.1/", "http://example.org/\r\nX: y", "http://exa mple.org/", "http://example.org/\t",
    "http://example.org/" + "a" * 2000, "http://[::1", "http://example.org:99999/",
]
ADDRESSES = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.0.1", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:808:808::", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1", "100::1",
]
# What a parser may leave as it is and the resolver reads as an address: the answer of the resolver is judged.
DISGUISED = [
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::ffff:7f00:1]", "[::1]", "127.0.0.1.", "localhost",
]


def public(host: str, port: int) -> list[str]:
    return [PUBLIC]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_is_no_plain_web_address_is_refused_without_being_resolved(url: str) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was resolved")

    with pytest.raises(guard.Refused) as refused:
        guard.check(url, resolver)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_that_leads_to_an_address_that_is_not_public_is_refused(address: str) -> None:
    for found in ([address], [PUBLIC, address], [address, PUBLIC]):
        with pytest.raises(guard.Refused, match="may not be sent to"):
            guard.check("https://hooks.example.org/", lambda host, port, found=found: found)


@pytest.mark.parametrize("host", DISGUISED)
def test_a_disguised_address_is_refused_by_what_the_system_makes_of_it(host: str) -> None:
    with pytest.raises((guard.Refused, OSError)):
        guard.check(f"http://{host}/")


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_public_addresses_may_be_sent_to(address: str) -> None:
    target = guard.check("https://hooks.example.org:8443/in?a=b", lambda host, port: [address])
    assert target.addresses == (address,) and str(target.url) == "https://hooks.example.org:8443/in?a=b"


def test_listed_hosts_may_lie_inside_alone_or_with_one_port(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.internal", "127.0.0.1:9000", "[::1]:9001"]
    inside = {"hooks.internal": ["10.0.0.5"], "127.0.0.1": ["127.0.0.1"], "::1": ["::1"]}

    def resolver(host: str, port: int) -> list[str]:
        return inside[host.lower()]

    for url in ("http://hooks.internal/", "http://HOOKS.internal:7777/", "http://127.0.0.1:9000/", "http://[::1]:9001/"):
        assert guard.check(url, resolver).addresses
    for url in ("http://127.0.0.1:9001/", "http://127.0.0.1/", "http://[::1]:9000/"):
        with pytest.raises(guard.Refused):
            guard.check(url, resolver)


def test_a_host_is_resolved_once(settings: Settings) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC]

    guard.check("https://hooks.example.org/", resolver)
    assert asked == ["hooks.example.org"]
    assert guard.check("http://hooks.example.org/", public).addresses == (PUBLIC,)
