"""Files that come with an operation, as the GraphQL multipart request specification says."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from gateway.graphql import Limits
from tests.gateway.transports.server import Gateway, gateway, http_client

pytestmark = pytest.mark.anyio

ONE = "mutation($file: Upload!) { upload(file: $file) { filename contentType size text } }"
MANY = "mutation($files: [Upload!]!) { uploads(files: $files) { text } }"
GRAPHQL = "application/graphql-response+json"

Part = tuple[str, tuple[str | None, bytes] | tuple[str, bytes, str]]


def field(name: str, value: object) -> Part:
    return name, (None, value if isinstance(value, bytes) else json.dumps(value).encode())


def file(name: str, content: bytes = b"hello", filename: str = "a.txt", content_type: str = "text/plain") -> Part:
    return name, (filename, content, content_type)


async def send(server: Gateway, parts: Sequence[Part], headers: Mapping[str, str] | None = None) -> httpx.Response:
    sent = {"graphql-require-preflight": "1"} if headers is None else headers
    async with http_client() as client:
        return await client.post(server.url, files=list(parts), headers={"accept": GRAPHQL, **sent})


def upload(operations: object, places: object, *files: Part) -> list[Part]:
    return [field("operations", operations), field("map", places), *files]


def one(**variables: Any) -> dict[str, object]:
    return {"query": ONE, "variables": {"file": None, **variables}}


async def test_a_file_reaches_its_resolver(server: Gateway) -> None:
    response = await send(server, upload(one(), {"0": ["variables.file"]}, file("0", "é".encode(), "naïve.txt")))
    assert response.json()["data"]["upload"] == {
        "filename": "naïve.txt",
        "contentType": "text/plain",
        "size": 2,
        "text": "é",
    }


async def test_files_of_a_list_keep_their_places_and_one_file_may_have_several(server: Gateway) -> None:
    response = await send(
        server,
        upload(
            {"query": MANY, "variables": {"files": [None, None, None]}},
            {"a": ["variables.files.2", "variables.files.0"], "b": ["variables.files.1"]},
            file("a", b"A"),
            file("b", b"B"),
        ),
    )
    assert [report["text"] for report in response.json()["data"]["uploads"]] == ["A", "B", "A"]


async def test_a_file_larger_than_memory_is_kept_for_comes_whole(server: Gateway) -> None:
    content = b"0123456789" * 300_000
    response = await send(
        server,
        upload(
            {"query": "mutation($file: Upload!) { upload(file: $file) { size } }", "variables": {"file": None}},
            {"0": ["variables.file"]},
            file("0", content),
        ),
    )
    assert response.json() == {"data": {"upload": {"size": 3_000_000}}}


@pytest.mark.parametrize("header", ["graphql-require-preflight", "apollo-require-preflight", "x-requested-with"])
async def test_a_form_needs_a_header_that_no_page_of_another_site_can_send(server: Gateway, header: str) -> None:
    parts = upload(one(), {"0": ["variables.file"]}, file("0"))
    assert (await send(server, parts, {})).status_code == 400
    assert (await send(server, parts, {header: "1"})).status_code == 200


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [field("operations", one())],
        [field("map", {})],
        upload(b"{", {}),
        upload(one(), b"{"),
        upload([one()], {"0": ["0.variables.file"]}, file("0")),
        upload(42, {}),
        upload(one(), []),
        upload(one(), {"0": "variables.file"}, file("0")),
        upload(one(), {"0": []}, file("0")),
        upload(one(), {"0": [1]}, file("0")),
        upload(one(), {"0": ["variables.file"]}),
        upload(one(), {}, file("0")),
        upload(one(), {"0": ["variables.file"]}, file("0"), file("1")),
        upload(one(), {"0": ["variables.file"]}, file("0"), file("0")),
        upload(one(), {"0": ["variables.file", "variables.file"]}, file("0")),
        upload(one(), {"0": ["variables.nowhere"]}, file("0")),
        upload(one(), {"0": ["variables"]}, file("0")),
        upload(one(), {"0": ["query"]}, file("0")),
        upload(one(), {"0": [""]}, file("0")),
        upload(one(), {"0": ["variables.file.more"]}, file("0")),
        upload(one(file="taken"), {"0": ["variables.file"]}, file("0")),
        upload(one(file=[None]), {"0": ["variables.file.1"]}, file("0")),
        upload(one(file=[None]), {"0": ["variables.file.-1"]}, file("0")),
        upload(one(file=[None]), {"0": ["variables.file.00"]}, file("0")),
        upload(one(file=[None]), {"0": ["variables.file.x"]}, file("0")),
        upload({"query": ONE}, {"0": ["variables.file"]}, file("0")),
        upload({"query": ONE, "variables": 1}, {"0": ["variables.file"]}, file("0")),
        [*upload(one(), {"0": ["variables.file"]}, file("0")), field("more", 1)],
        [file("operations", b"{}"), field("map", {})],
        [field("operations", one()), field("operations", one()), file("0")],
    ],
)
async def test_a_wrong_form_is_400(server: Gateway, parts: list[Part]) -> None:
    response = await send(server, parts or [field("x", 1)])
    assert response.status_code == 400, response.text
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"\xff" * 1_000),
    ],
)
async def test_a_broken_form_is_400(server: Gateway, content_type: str, body: bytes) -> None:
    response = await server.post_body(body, content_type=content_type, graphql_require_preflight="1")
    assert response.status_code == 400


async def test_a_file_in_plain_json_is_the_callers_mistake(server: Gateway) -> None:
    response = await server.post(ONE, {"file": "text"}, accept=GRAPHQL)
    assert response.status_code == 400
    assert response.json()["errors"][0]["message"] == (
        "Variable '$file' has invalid value: An upload must come as a file of a multipart request."
    )


async def test_files_are_limited_in_number_and_in_size() -> None:
    with gateway(Limits(max_uploads=2, max_upload_bytes=10_000, max_body_bytes=1_000)) as server:

        async def of_sizes(*sizes: int) -> int:
            names = [str(number) for number in range(len(sizes))]
            variables = {"files": [None] * len(sizes)}
            places = {name: [f"variables.files.{name}"] for name in names}
            files = [file(name, b"x" * size) for name, size in zip(names, sizes, strict=True)]
            return (await send(server, upload({"query": MANY, "variables": variables}, places, *files))).status_code

        assert await of_sizes(5_000, 4_000) == 200
        assert await of_sizes(1, 1, 1) == 400
        assert await of_sizes(12_000) == 413
        assert await of_sizes(6_000, 6_000) == 413
        long = upload({"query": ONE + " " * 2_000, "variables": {"file": None}}, {"0": ["variables.file"]}, file("0"))
        assert (await send(server, long)).status_code == 400


async def test_an_upload_may_be_answered_with_events(server: Gateway) -> None:
    parts = upload(
        {"query": "mutation($file: Upload!) { upload(file: $file) { text } }", "variables": {"file": None}},
        {"0": ["variables.file"]},
        file("0", b"abc"),
    )
    response = await send(server, parts, {"accept": "text/event-stream", "x-requested-with": "x"})
    assert 'data: {"data":{"upload":{"text":"abc"}}}' in response.text
