"""Where webhooks may go: whatever an address is spelled like, and whatever a name leads to a moment later."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from datasources.webhooks import post as posting
from datasources.webhooks.addresses import Address, UnfitUrl, check_url, is_public
from datasources.webhooks.post import MAX_ANSWER_BYTES, Answer, NotPosted, Poster, look_up
from tests.servers.process import free_port
from tests.webhooks.delivery.receiver import Receiver, receiving
from tests.webhooks.delivery.world import LOOPBACK

pytestmark = pytest.mark.anyio
NAME = "hooks.example.com"

PRIVATE = [
    "0.0.0.0",  # noqa: S104 -- nothing is bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.9.9.9",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::",
    "2002:7f00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.169.0.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(UnfitUrl, match="public internet"):
        check_url(f"https://{f'[{address}]' if ':' in address else address}/", ())


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not(address: str) -> None:
    assert is_public(ip_address(address))
    check_url(f"https://{f'[{address}]' if ':' in address else address}/", ())


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_not_to_be(address: Address) -> None:
    if not is_public(address):
        return
    wrapped = isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour or address in _NAT64)
    assert wrapped or (address.is_global and not address.is_multicast and not address.is_reserved)


class _Nat64:
    def __contains__(self, address: IPv6Address) -> bool:
        return int(address) >> 32 == 0x64FF9B << 64


_NAT64 = _Nat64()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "https://",
        "https:///path",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "https://ada@hooks.example.com/",
        "https://ada:secret@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:x/",
        "https://hooks example.com/",
        "https://localhost/",
        "https://intranet/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://hooks.example.0x7f/",
        "https://%31%32%37.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://127.0.0.1./",
        "https://..example.com/",
        "https://hooks.example.com/\r\nhost: evil",
        f"https://hooks.example.com/{'x' * 2_000}",
    ],
)
def test_what_is_no_fit_address_is_refused(url: str) -> None:
    with pytest.raises(UnfitUrl):
        check_url(url, ())


def test_what_an_operator_allows_is_allowed_and_no_more() -> None:
    for url in ("http://127.0.0.1:9000/", "https://127.0.0.1/", "http://receiver/", "http://[::ffff:127.0.0.1]/"):
        check_url(url, LOOPBACK)
    for url in ("http://10.0.0.1/", "https://10.0.0.1/", "http://8.8.8.8/", "https://[::1]/"):
        with pytest.raises(UnfitUrl):
            check_url(url, LOOPBACK)
    for url in ("https://hooks.example.com", "https://HOOKS.example.com.:8443/a?b=c", "https://bücher.example/"):
        check_url(url, ())


class Names:
    """A resolver that answers as it is told, each time the next, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[Address]:
        """The addresses of a name."""
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(each) for each in answer]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], ["::1"]])
async def test_a_name_that_leads_into_a_private_network_is_not_followed(addresses: list[str]) -> None:
    """Not even to the other addresses that it has; the guard of the suite would see any attempt."""
    poster = Poster(resolve=Names(addresses))
    with pytest.raises(NotPosted, match="not on the public internet"):
        await poster.post(f"https://{NAME}/", {}, b"{}")
    await poster.close()


async def test_a_name_is_looked_up_once_and_what_was_looked_at_is_connected_to(receiver: Receiver) -> None:
    """A name server that answers well first, and with a private address when it is asked again, gains nothing."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    poster = Poster(LOOPBACK, resolve=names)
    url = f"http://{NAME}:{receiver.port}/hook"
    assert await poster.post(url, {"webhook-id": "a"}, b"{}") == Answer(204, None)
    assert names.asked == [NAME]
    assert receiver.arrived[0].headers["host"] == f"{NAME}:{receiver.port}"
    with pytest.raises(NotPosted, match="not on the public internet"):
        await poster.post(url, {}, b"{}")
    assert len(receiver.arrived) == 1
    await poster.close()


async def test_without_encryption_nothing_leaves_the_networks_of_the_operator() -> None:
    poster = Poster(LOOPBACK, resolve=Names(["8.8.8.8"]))
    with pytest.raises(NotPosted, match="Without encryption"):
        await poster.post(f"http://{NAME}/", {}, b"{}")
    await poster.close()


async def test_a_redirect_is_an_answer_like_any_other(receiver: Receiver) -> None:
    receiver.answers["/hook"] = [f"307 Elsewhere\r\nlocation: {receiver.url}/private"]
    poster = Poster(LOOPBACK)
    assert (await poster.post(f"{receiver.url}/hook", {}, b"{}")).status == 307
    assert [each.path for each in receiver.arrived] == ["/hook"]
    await poster.close()


async def test_no_proxy_of_the_environment_gets_to_see_it(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    poster = Poster(LOOPBACK)
    assert (await poster.post(f"{receiver.url}/hook", {}, b"{}")).status == 204
    await poster.close()


async def test_an_address_that_does_not_answer_is_passed_over(receiver: Receiver) -> None:
    poster = Poster(LOOPBACK, resolve=Names(["127.0.0.2", "127.0.0.1"]))
    assert (await poster.post(f"http://{NAME}:{receiver.port}/hook", {}, b"{}")).status == 204
    await poster.close()


async def test_what_goes_wrong_is_told_in_words_of_ours(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "internal page"
    receiver.tail = secret.encode()
    receiver.answers["/nonsense"] = [f"abc {secret}"]
    poster = Poster(LOOPBACK, resolve=Names([]))
    told = {}
    for url, why in (
        (f"https://{NAME}/", "cannot be found"),
        (f"http://127.0.0.1:{free_port()}/", "no connection"),
        (f"{receiver.url}/nonsense", "not HTTP"),
    ):
        with pytest.raises(NotPosted, match=why) as caught:
            await poster.post(url, {}, b"{}")
        told[url] = str(caught.value)
    assert secret not in str(told)
    monkeypatch.setattr(posting, "SECONDS", 0.05)
    receiver.slow["/slow"] = asyncio.Event()
    with pytest.raises(NotPosted, match="did not answer within"):
        await poster.post(f"{receiver.url}/slow", {}, b"{}")
    await poster.close()


async def test_of_an_endless_answer_only_the_beginning_is_read(receiver: Receiver) -> None:
    receiver.tail = b"x" * (64 * MAX_ANSWER_BYTES)
    poster = Poster(LOOPBACK)
    receiver.answers["/hook"] = ["200 OK"]
    assert (await poster.post(f"{receiver.url}/hook", {}, b"{}")).status == 200
    await poster.close()


async def test_the_resolver_of_the_machine_is_asked() -> None:
    assert IPv4Address("127.0.0.1") in await look_up("localhost", 80)
    with pytest.raises((OSError, UnicodeError)):
        await look_up("a" * 64 + ".localhost", 80)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server with ``NAME`` shows, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + pem)
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(path)
    return shown, ssl.create_default_context(cadata=pem.decode())


async def test_certificates_are_verified_for_the_name_not_the_address(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    shown, trusting = certificate
    async with receiving(shown) as receiver:
        poster = Poster(LOOPBACK, resolve=Names(["127.0.0.1"]), tls=trusting)
        assert (await poster.post(f"https://{NAME}:{receiver.port}/hook", {}, b"{}")).status == 204
        # Another name at the same address: neither its connection nor its certificate will do.
        with pytest.raises(NotPosted, match="certificate does not hold"):
            await poster.post(f"https://other.example.com:{receiver.port}/hook", {}, b"{}")
        await poster.close()
        strict = Poster(LOOPBACK, resolve=Names(["127.0.0.1"]))
        with pytest.raises(NotPosted, match="certificate does not hold"):
            await strict.post(f"https://{NAME}:{receiver.port}/hook", {}, b"{}")
        await strict.close()
    assert [each.path for each in receiver.arrived] == ["/hook"]
