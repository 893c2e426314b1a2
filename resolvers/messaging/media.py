"""Files that customers send: their links, and the route behind the links."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import strawberry
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from datasources.database.messaging import MediaRow, media_of_any_organization
from schema.context import Info
from schema.platform import Services
from schema.scalars import BigInt, Url

SIGNATURES: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "application/pdf": (b"%PDF-",),
}
"""How files of the allowed kinds begin. What a client says of a file is not believed."""


def content_type_of(head: bytes) -> str | None:
    """The type of an image or a PDF by how it begins; ``None`` for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for kind, begins in SIGNATURES.items() if head.startswith(begins)), None)


@strawberry.enum(description="What kind of file it is.")
class MediaKind(Enum):
    """``MediaKind``."""

    IMAGE = strawberry.enum_value("IMAGE", description="A picture.")
    DOCUMENT = strawberry.enum_value("DOCUMENT", description="A document, such as a PDF.")
    AUDIO = strawberry.enum_value("AUDIO", description="A recording.")
    VIDEO = strawberry.enum_value("VIDEO", description="A film.")


@strawberry.type(description="A file.")
class Media:
    """``Media``."""

    kind: MediaKind = strawberry.field(description="What kind of file it is.")
    content_type: str = strawberry.field(description="Its media type, found from its content.")
    bytes: BigInt = strawberry.field(description="Its size.")
    sha256: str = strawberry.field(description="The SHA-256 of its content in hexadecimal.")

    @strawberry.field(description="Where to get it, without a token, for about an hour.")
    @staticmethod
    def url(root: strawberry.Parent[MediaRow], info: Info) -> Url:
        """A signed link."""
        return Url(info.context.services.links.to(f"/media/{root.id}"))


def media_routes(services: Services) -> Sequence[BaseRoute]:
    """``GET /media/{id}`` for signed links."""

    async def serve(request: Request) -> Response:
        query = request.query_params
        if not services.links.holds(request.url.path, query.get("expires"), query.get("signature")):
            message: dict[str, Any] = {"error": "This link is not valid, or no longer. Read the file's url again."}
            return JSONResponse(message, status_code=403)
        found = await media_of_any_organization(services.database, request.path_params["id"])
        path = None if found is None else services.files.path(found.sha256)
        if found is None or path is None or not path.is_file():
            return JSONResponse({"error": "There is no such file."}, status_code=404)
        headers = {
            "cache-control": "private, max-age=900, immutable",
            "content-disposition": "inline" if found.kind == "IMAGE" else "attachment",
            "content-security-policy": "default-src 'none'; sandbox",
            "x-content-type-options": "nosniff",
        }
        return FileResponse(path, media_type=found.content_type, headers=headers)

    return [Route("/media/{id}", serve)]
