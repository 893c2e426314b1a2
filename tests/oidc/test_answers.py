"""What is believed of an issuer's answers, and how long and how much of them is waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from datasources import oidc
from datasources.oidc import Discovery, IssuerClient, IssuerRefused, IssuerUnavailable, may_ask

pytestmark = pytest.mark.anyio

Answer = Callable[[str], bytes]
Serve = Callable[[Answer], Awaitable["Bare"]]


class Bare:
    """A server that sends bytes as they are given to it, and remembers what it was sent."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.heard: list[str] = []
        self.dripped = 0
        self.url = ""
        self.busy: set[asyncio.Task[None] | None] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request, and then drips spaces until the client leaves."""
        self.busy.add(asyncio.current_task())
        self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self._answer(self.url))
        gone = asyncio.create_task(reader.read())
        while not (await asyncio.wait([gone], timeout=0.01))[0]:
            writer.write(b" ")
            self.dripped += 1
        await asyncio.gather(gone, return_exceptions=True)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def ok(body: str, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer; a header given here comes first."""
    given = "".join(f"{header}\r\n" for header in headers)
    kind = "" if "content-type" in given.lower() else "Content-Type: application/json\r\n"
    return f"HTTP/1.1 {status}\r\n{given}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server that gives one answer to everything."""
    async with AsyncExitStack() as stack:

        async def start(answer: Answer) -> Bare:
            bare = Bare(answer)
            server = await asyncio.start_server(bare.handle, "127.0.0.1", 0)
            stack.push_async_callback(lambda: asyncio.gather(*filter(None, bare.busy)))
            stack.callback(server.close)
            bare.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return bare

        yield start


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[IssuerClient]:
    """What asks; it leaves before the servers do."""
    found = IssuerClient()
    yield found
    await found.close()


def discovery(issuer: str, **more: str) -> str:
    """A discovery document."""
    parts = {"issuer": issuer, "jwks_uri": f"{issuer}/keys", **more}
    return "{" + ",".join(f'"{name}":"{value}"' for name, value in parts.items()) + "}"


async def test_the_documents_of_an_issuer_are_read(serve: Serve, client: IssuerClient) -> None:
    bare = await serve(lambda url: ok(discovery(url, userinfo_endpoint=f"{url}/me")))
    assert await client.discover(bare.url) == Discovery(f"{bare.url}/keys", f"{bare.url}/me")
    assert bare.heard[0].startswith("GET /.well-known/openid-configuration HTTP/1.1\r\n")
    slashed = await serve(lambda url: ok(discovery(f"{url}/tenant/"), "Content-Type: application/json; charset=utf-8"))
    assert await client.discover(f"{slashed.url}/tenant/") == Discovery(f"{slashed.url}/tenant//keys", None)
    assert slashed.heard[0].startswith("GET /tenant/.well-known/openid-configuration HTTP/1.1\r\n")
    keys = await serve(lambda _: ok('{"keys":[{"kty":"RSA"},7]}', "Content-Type: application/jwk-set+json"))
    assert await client.keys(keys.url, f"{keys.url}/keys") == [{"kty": "RSA"}, 7]
    me = await serve(lambda _: ok('{"sub":"a"}'))
    assert await client.userinfo(me.url, f"{me.url}/me", "the-token") == {"sub": "a"}
    assert "authorization: bearer the-token" in me.heard[0].lower()


BAD: dict[str, Answer] = {
    "of another issuer": lambda url: ok(discovery(f"{url}/")),
    "of no issuer": lambda url: ok(f'{{"jwks_uri":"{url}/keys"}}'),
    "without keys": lambda url: ok(f'{{"issuer":"{url}"}}'),
    "with keys that are no address": lambda url: ok(f'{{"issuer":"{url}","jwks_uri":7}}'),
    "a page": lambda url: ok(discovery(url), "Content-Type: text/html"),
    "a list": lambda _: ok("[]"),
    "no JSON": lambda _: ok("{'issuer': 1}"),
    "very deep": lambda _: ok("[" * 100_000),
    "too long": lambda url: ok(discovery(url, padding="x" * oidc.MAX_BYTES)),
    "too long, and without an end": lambda _: (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"10000\r\n" + b" " * 0x10000 + b"\r\n" + (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 5
    ),
    "packed": lambda url: ok(discovery(url), "Content-Encoding: gzip"),
    "a fault": lambda url: ok(discovery(url), status="500 Internal Server Error"),
    "created": lambda url: ok(discovery(url), status="201 Created"),
    "not there": lambda url: ok(discovery(url), status="404 Not Found"),
    "no HTTP": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "cut off": lambda url: ok(discovery(url))[:-5] + b"",
}


@pytest.mark.parametrize("kind", BAD)
async def test_no_other_answer_is_believed(serve: Serve, client: IssuerClient, kind: str) -> None:
    bare = await serve(BAD[kind])
    with pytest.raises(IssuerUnavailable):
        await client.discover(bare.url)
    assert len(bare.heard) == 1


async def test_nobody_is_asked_whom_the_issuer_sends_the_gateway_to(serve: Serve, client: IssuerClient) -> None:
    """Although what is said there would do: a redirect could lead anywhere, also within the operator's network."""
    named: list[str] = []
    elsewhere = await serve(lambda _: ok(discovery(named[0])))
    bare = await serve(lambda _: ok("", f"Location: {elsewhere.url}/", status="302 Found"))
    named.append(bare.url)
    with pytest.raises(IssuerUnavailable):
        await client.discover(bare.url)
    assert (len(bare.heard), elsewhere.heard) == (1, [])


async def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(
    serve: Serve, client: IssuerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although something comes all the time."""
    monkeypatch.setattr(oidc, "SECONDS", 1.0)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    bare = await serve(lambda _: head)
    with pytest.raises(IssuerUnavailable):
        await client.discover(bare.url)
    assert 0 < bare.dripped < 1_000


@pytest.mark.parametrize("keys", ['{"keys":{}}', "{}", '{"keys":null}'])
async def test_a_key_set_without_a_list_is_none(serve: Serve, client: IssuerClient, keys: str) -> None:
    bare = await serve(lambda _: ok(keys))
    with pytest.raises(IssuerUnavailable):
        await client.keys(bare.url, f"{bare.url}/keys")


async def test_who_may_not_ask_is_told_from_who_cannot(serve: Serve, client: IssuerClient) -> None:
    for status, refused in (("401 Unauthorized", True), ("403 Forbidden", True), ("429 Slow down", False)):
        bare = await serve(lambda _, status=status: ok("{}", status=status))  # type: ignore[misc]
        with pytest.raises(IssuerUnavailable) as raised:
            await client.userinfo(bare.url, f"{bare.url}/me", "secret-token")
        assert isinstance(raised.value, IssuerRefused) is refused
        assert "secret-token" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "issuer", "may"),
    [
        ("https://a.example.com/keys", "https://a.example.com", True),
        ("https://keys.example.net/", "https://a.example.com", True),
        ("http://a.example.com/keys", "https://a.example.com", False),
        ("http://a.example.com/keys", "http://a.example.com", False),
        ("http://127.0.0.1:9000/keys", "https://a.example.com", False),
        ("http://localhost/keys", "http://127.0.0.1:9000", True),
        ("http://[::1]:9000/keys", "http://localhost:9000", True),
        ("http://localhost.example.com/keys", "http://localhost", False),
        ("http://192.0.2.1/keys", "http://localhost", False),
        ("https://user:secret@a.example.com/keys", "https://a.example.com", False),
        ("file:///etc/passwd", "http://localhost", False),
        ("ftp://localhost/keys", "http://localhost", False),
        ("//localhost/keys", "http://localhost", False),
        ("https:///keys", "https://a.example.com", False),
        ("https://a.example.com:port/", "https://a.example.com", False),
        ("", "https://a.example.com", False),
    ],
)
async def test_only_https_is_asked_but_on_this_machine(
    client: IssuerClient, outside_attempts: list[str], url: str, issuer: str, *, may: bool
) -> None:
    assert may_ask(url, issuer) is may
    if not may:
        with pytest.raises(IssuerUnavailable):
            await client.keys(issuer, url)
        assert outside_attempts == []
