"""File uploads: the GraphQL multipart request specification, read within limits."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.graphql.limits import Limits
from gateway.graphql.masking import RequestError
from gateway.graphql.request import GraphQLRequest, parse_json, request_from_json

PREFLIGHT_HEADERS = ("graphql-require-preflight", "apollo-require-preflight", "x-requested-with")
_CHUNK_BYTES = 64 * 1024
_POSITION = re.compile("0|[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that came with a request: the value of an ``Upload`` variable. It can be read until the answer is sent.

    ``filename`` and ``content_type`` are the client's words; ``size`` is in bytes, and counted.
    """

    filename: str
    content_type: str
    size: int
    _file: UploadFile

    async def read(self) -> bytes:
        """The whole content."""
        await self._file.seek(0)
        return await self._file.read()

    async def stream(self, chunk_bytes: int = _CHUNK_BYTES) -> AsyncIterator[bytes]:
        """The content from its start, at most ``chunk_bytes`` at a time."""
        await self._file.seek(0)
        while chunk := await self._file.read(chunk_bytes):
            yield chunk


@asynccontextmanager
async def multipart_request(
    headers: dict[str, str], body: AsyncGenerator[bytes, None], limits: Limits
) -> AsyncIterator[GraphQLRequest]:
    """The request in a multipart body, whose files last as long as the context; raises RequestError."""
    form = await _read_form(headers, body, limits)
    try:
        yield _request(form, limits)
    finally:
        await form.close()


async def _read_form(headers: dict[str, str], body: AsyncGenerator[bytes, None], limits: Limits) -> FormData:
    parser = MultiPartParser(
        Headers({"content-type": headers["content-type"]}),
        body,
        max_files=limits.max_uploads,
        max_fields=2,
        max_part_size=limits.max_body_bytes,
    )
    try:
        async with aclosing(body):
            return await parser.parse()
    except MultiPartException as error:
        raise RequestError.of(f"The form is not a GraphQL multipart request: {error.message}") from None


def _request(form: FormData, limits: Limits) -> GraphQLRequest:
    operations = parse_json(_field(form, "operations"), limits.max_json_depth, what='The field "operations"')
    places = _places(parse_json(_field(form, "map"), limits.max_json_depth, what='The field "map"'))
    if isinstance(operations, dict):
        _put_files(operations, places, _files(form))
    return request_from_json(operations)


def _field(form: FormData, name: str) -> str:
    values = form.getlist(name)
    if len(values) != 1 or not isinstance(values[0], str):
        raise RequestError.of(f'The form needs one field "{name}" with JSON in it.')
    return values[0]


def _places(decoded: object) -> dict[str, list[str]]:
    """The paths of each file, by the file's name in the form."""
    if not isinstance(decoded, dict):
        raise RequestError.of('The field "map" must be an object of lists of paths.')
    for paths in decoded.values():
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise RequestError.of('Each file in "map" needs a list of at least one path such as "variables.file".')
    return decoded


def _files(form: FormData) -> dict[str, UploadedFile]:
    files: dict[str, UploadedFile] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            if name not in {"operations", "map"}:
                raise RequestError.of(f'The form has a field "{name[:100]}" that is no file.')
            continue
        if name in files:
            raise RequestError.of(f'The form has two files named "{name[:100]}".')
        files[name] = UploadedFile(
            filename=value.filename or "",
            content_type=value.content_type or "application/octet-stream",
            size=value.size or 0,
            _file=value,
        )
    return files


def _put_files(operations: dict[str, object], places: dict[str, list[str]], files: dict[str, UploadedFile]) -> None:
    if unused := files.keys() - places.keys():
        raise RequestError.of(f'The file "{min(unused)[:100]}" is named nowhere in "map".')
    for name, paths in places.items():
        file = files.get(name)
        if file is None:
            raise RequestError.of(f'The file "{name[:100]}" of "map" was not sent.')
        for path in paths:
            _put(operations, path, file)


def _put(operations: dict[str, object], path: str, file: UploadedFile) -> None:
    """Replace the null at ``path``; anything else there, or nothing, is refused."""
    first, *keys = path.split(".")
    if first != "variables" or not keys:
        raise RequestError.of(f'The path "{path[:100]}" of "map" does not lead into "variables".')
    holder: Any = operations
    key: str | int = first
    for step in keys:
        holder = _at(holder, key)
        key = _index(step) if isinstance(holder, list) else step
    if _at(holder, key, file) is not None:
        raise RequestError.of(f'The path "{path[:100]}" of "map" leads to no null that a file could replace.')
    holder[key] = file


def _at(holder: object, key: str | int, otherwise: object = None) -> object:
    if isinstance(holder, dict):
        return holder.get(key, otherwise)
    if isinstance(holder, list) and isinstance(key, int) and key < len(holder):
        return holder[key]
    return otherwise


def _index(step: str) -> int | str:
    """The position that ``step`` names, in its one canonical form."""
    return int(step) if _POSITION.fullmatch(step) else step
