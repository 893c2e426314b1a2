"""The file behind a proof of payment: what is taken, what is refused, and who gets to see it."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.orders.desk import PDF, PNG, Desk, desk_at
from tests.serving import Running, running

pytestmark = pytest.mark.anyio

KINDS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + b"jfif" * 9,
    "image/gif": b"GIF89a" + b"gif" * 9,
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 " + b"webp" * 9,
    "application/pdf": PDF,
}
FILES = "files"


def folder_of(desk: Desk) -> Path:
    """Where the gateway keeps files."""
    settings = desk.gateway.app.state.gateway.settings
    found: Path = settings.data_dir / FILES
    return found


def kept(desk: Desk) -> set[Path]:
    """The files that the gateway keeps, also those that are half written."""
    return {path for path in folder_of(desk).rglob("*") if path.is_file()}


def with_query(url: str, **changes: str) -> str:
    """A link with other parameters; an empty one is left out."""
    parts = urlsplit(url)
    parameters = {name: value for name, value in {**dict(parse_qsl(parts.query)), **changes}.items() if value}
    return parts._replace(query=urlencode(parameters)).geturl()


@pytest.mark.parametrize("content_type", KINDS)
async def test_a_file_is_known_by_its_content_and_comes_back_whole(desk: Desk, content_type: str) -> None:
    content = KINDS[content_type]
    order_id = await desk.new_order()
    # what the client says of it is not believed
    answer = (await desk.send_file(order_id, content, "evil.exe", "text/html")).json()
    proof = answer["data"]["submitPaymentProof"]["order"]["paymentProof"]
    digest = hashlib.sha256(content).hexdigest()
    assert proof["contentType"] == content_type
    assert proof["kind"] == ("DOCUMENT" if content_type == "application/pdf" else "IMAGE")
    assert int(proof["bytes"]) == len(content)
    assert proof["sha256"] == digest
    assert hashlib.sha256((folder_of(desk) / digest[:2] / digest).read_bytes()).hexdigest() == digest

    file = await desk.client.get(proof["url"])  # without a token
    assert file.status_code == 200
    assert file.content == content
    assert file.headers["content-type"] == content_type
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert file.headers["content-disposition"] == ("attachment" if content_type == "application/pdf" else "inline")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<html><script>alert(1)</script></html>",
        b"MZ\x90\x00" + PNG,
        b" %PDF-1.7",
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"\x00" * 1_000,
    ],
)
async def test_a_file_of_another_kind_is_refused_and_not_kept(desk: Desk, content: bytes) -> None:
    order_id = await desk.new_order()
    before = kept(desk)
    answer = (await desk.send_file(order_id, content, "proof.png", "image/png")).json()
    payload = answer["data"]["submitPaymentProof"]
    assert payload["userErrors"] == [
        {
            "code": "INVALID",
            "message": "That is neither an image (PNG, JPEG, GIF, WebP) nor a PDF.",
            "field": ["proof", "upload"],
        }
    ]
    assert (await desk.recorded(order_id)).status == "PENDING"
    assert (await desk.recorded(order_id)).actions == []
    assert kept(desk) == before


async def test_the_link_is_good_for_its_file_alone_and_only_as_it_was_made(desk: Desk) -> None:
    one, other = await desk.new_order(), await desk.new_order()
    url = (await desk.submit(one, PNG))["order"]["paymentProof"]["url"]
    second = (await desk.submit(other, PDF))["order"]["paymentProof"]["url"]
    parameters = dict(parse_qsl(urlsplit(url).query))
    swapped = urlsplit(url)._replace(path=urlsplit(second).path).geturl()
    wrong = [
        swapped,
        with_query(url, expires=str(int(parameters["expires"]) + 1)),
        with_query(url, expires="99999999999"),
        with_query(url, expires=""),
        with_query(url, expires="-1"),
        with_query(url, expires="1e9"),
        with_query(url, expires="٣" * 10),
        with_query(url, signature=""),
        with_query(url, signature="0" * 64),
        with_query(url, signature=parameters["signature"].upper()),
        with_query(url, signature=parameters["signature"][:-1]),
        with_query(url, signature="é"),
        urlsplit(url)._replace(query="").geturl(),
        urlsplit(url)._replace(path="/media/med_" + "0" * 26).geturl(),
    ]
    for link in wrong:
        refused = await desk.client.get(link)
        assert (link, refused.status_code) == (link, 403)
        assert refused.json() == {"error": "This link is not valid, or no longer. Read the file's url again."}
    outside = await desk.client.get(urlsplit(url)._replace(path="/media/..%2Fsigning-key.pem").geturl())
    assert outside.status_code == 404
    signed_in = await desk.client.get(swapped, headers=desk.headers())
    assert signed_in.status_code == 403
    assert (await desk.client.get(url)).content == PNG


async def test_a_link_ends(desk: Desk) -> None:
    order_id = await desk.new_order()
    url = (await desk.submit(order_id))["order"]["paymentProof"]["url"]
    links = desk.gateway.app.state.gateway.services.links
    path = urlsplit(url).path
    ended = {"expires": "1700000000", "signature": links._signature(path, 1_700_000_000)}
    assert (await desk.client.get(with_query(url, **ended))).status_code == 403


async def test_a_link_to_a_file_that_is_gone_says_so(desk: Desk) -> None:
    order_id = await desk.new_order()
    content = PNG + b"soon gone"
    proof = (await desk.submit(order_id, content))["order"]["paymentProof"]
    (folder_of(desk) / proof["sha256"][:2] / proof["sha256"]).unlink()
    gone = await desk.client.get(proof["url"])
    assert (gone.status_code, gone.json()) == (404, {"error": "There is no such file."})


async def test_the_same_file_for_two_orders_is_kept_once(desk: Desk) -> None:
    content = PNG + b"the same twice"
    orders = [await desk.new_order(), await desk.new_order()]
    proofs = [(await desk.submit(order_id, content))["order"]["paymentProof"] for order_id in orders]
    assert proofs[0]["sha256"] == proofs[1]["sha256"]
    assert proofs[0]["url"] != proofs[1]["url"]
    assert sum(path.name == proofs[0]["sha256"] for path in kept(desk)) == 1


async def test_a_file_beyond_what_a_request_may_bring_is_refused_before_it_is_read(desk: Desk) -> None:
    order_id = await desk.new_order()
    before = kept(desk)
    response = await desk.send_file(order_id, PNG + b"x" * (12 << 20), "large.png", "image/png")
    assert response.status_code == 413
    assert (await desk.recorded(order_id)).actions == []
    assert kept(desk) == before


@pytest.fixture
async def roomy(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk before a gateway that lets requests bring more than a proof may have."""
    with running(database_url, tmp_path, max_upload_bytes=30 << 20) as gateway:
        server: Running = gateway
        async with desk_at(server) as found:
            yield found


async def test_a_proof_has_at_most_10_mb(roomy: Desk) -> None:
    order_id = await roomy.new_order()
    large = PNG + b"x" * ((10 << 20) + 1 - len(PNG))
    payload = await roomy.submit(order_id, large)
    assert payload["userErrors"] == [
        {
            "code": "INVALID",
            "message": "The file has more than 10 MB. Send a smaller one.",
            "field": ["proof", "upload"],
        }
    ]
    assert kept(roomy) == set()
    payload = await roomy.submit(order_id, large[:-1])
    assert payload["userErrors"] == []
    assert int(payload["order"]["paymentProof"]["bytes"]) == 10 << 20
