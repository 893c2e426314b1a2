"""Settings: from the environment and a ``.env`` file, checked together at start."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from datasources.database.engine import async_url


_ORIGIN = re.compile(r"(https?|chrome-extension|moz-extension|safari-web-extension)://[a-z0-9.-]+(:[0-9]{1,5})?")


class Settings(BaseSettings):
    """Each field is the environment variable of its name in capitals. Sizes are in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    public_url: str | None = None
    """Where clients reach the gateway; ``http://host:port`` when absent."""
    database_url: str = ""
    """``sqlite:///var/tributary.db`` when absent, and a file of its own for the demo."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    data_dir: Path = Path("var")
    """Where files that people send, and the signing key of the demo, are kept."""
    signing_key_file: Path | None = None
    """An Ed25519 private key in PEM; ``data_dir/signing-key.pem`` when absent, which the demo makes by itself."""
    secret_keys_file: Path | None = None
    """The keys that secrets and the audit trail are kept under; ``data_dir/secret-keys`` when absent, as above."""
    access_token_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800
    allowed_origins: Annotated[frozenset[str], NoDecode] = frozenset()
    """Origins of other pages and of browser extensions that may use the API, separated by commas."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas."""
    anonymous_per_minute: Annotated[int, Field(ge=1)] = 1_200
    """Operations that who is not signed in may begin in a minute, per address."""
    cookie_same_site: Literal["strict", "lax", "none"] = "strict"
    """`none` where pages of another site (an allowed origin) keep their session in cookies."""
    platforms: Annotated[tuple[str, ...], NoDecode] = ()
    """Keys of the platforms that are on, separated by commas; all that are installed when absent."""
    page_limit: Annotated[int, Field(ge=1, le=10_000)] = 250
    """The most rows of one page of a list."""
    max_body_bytes: Annotated[int, Field(ge=1_024)] = 1 << 20
    max_upload_bytes: Annotated[int, Field(ge=1_024)] = 10 << 20
    max_depth: Annotated[int, Field(ge=5, le=100)] = 30
    max_tokens: Annotated[int, Field(ge=100, le=100_000)] = 5_000
    suggestions: bool = False
    """Whether errors name similar fields; tells strangers about the schema."""
    demo: bool = False

    @field_validator("allowed_origins", "platforms", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: frozenset[str]) -> frozenset[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                message = (
                    "an origin is like https://app.example.com or chrome-extension://<id>: scheme and host, with a port "
                    "where it is not the scheme's own, and nothing after that"
                )
                raise ValueError(message)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each)
        return value

    @field_validator("database_url")
    @classmethod
    def _spoken(cls, value: str) -> str:
        if value:
            async_url(value)
        return value

    @model_validator(mode="after")
    def _demo_stays_at_home(self) -> Self:
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / ('demo.db' if self.demo else 'tributary.db')}"
        if self.demo and self.host not in ("127.0.0.1", "::1", "localhost"):
            message = "the demo has known passwords and listens on 127.0.0.1 only: leave HOST unset"
            raise ValueError(message)
        if self.demo and not self.database_url.startswith("sqlite"):
            message = "the demo seeds a SQLite file of its own only: leave DATABASE_URL unset, or run without --demo"
            raise ValueError(message)
        return self

    @property
    def base_url(self) -> str:
        """Where clients reach the gateway."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def key_file(self) -> Path:
        """Where the signing key is."""
        return self.signing_key_file or self.data_dir / "signing-key.pem"

    @property
    def keyring_file(self) -> Path:
        """Where the secret keys are."""
        return self.secret_keys_file or self.data_dir / "secret-keys"


class SettingsError(Exception):
    """Every mistake in the settings, a line each."""


def load(**overrides: object) -> Settings:
    """The gateway's settings; raises ``SettingsError`` with all mistakes at once, and never with a value."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("\n".join(_mistakes(error))) from None


def load_all(kinds: Mapping[str, type[BaseSettings]]) -> dict[str, BaseSettings]:
    """The settings of platforms by their keys; raises ``SettingsError`` with the mistakes of all of them."""
    found: dict[str, BaseSettings] = {}
    mistakes: list[str] = []
    for key, kind in kinds.items():
        try:
            found[key] = kind()
        except ValidationError as error:
            mistakes.extend(f"{key}: {mistake}" for mistake in _mistakes(error))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return found


def _mistakes(error: ValidationError) -> Iterable[str]:
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        name = "_".join(str(part) for part in each["loc"]).upper()
        yield f"{name or 'SETTINGS'}: {each['msg'].removeprefix('Value error, ')}"
