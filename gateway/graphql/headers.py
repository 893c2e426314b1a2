"""Headers as the rest of the gateway reads them."""

from collections.abc import Iterable

from starlette.types import Scope


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of an ASGI scope, lower-cased; what is sent more than once is joined as HTTP says."""
    raw: Iterable[tuple[bytes, bytes]] = scope["headers"]
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in headers:
            separator = "; " if name == "cookie" else ", "
            value = f"{headers[name]}{separator}{value}"
        headers[name] = value
    return headers


def address_of(scope: Scope) -> str:
    """The client's IP address; what proxies that are trusted say of it is in the scope already."""
    client = scope.get("client")
    return client[0] if client else ""


def media_type(content_type: str) -> tuple[str, str | None]:
    """The media type and the charset, if any, of a ``Content-Type``, both lower-cased."""
    media, *parameters = content_type.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media.strip().lower(), value.strip().strip('"').lower()
    return media.strip().lower(), None
