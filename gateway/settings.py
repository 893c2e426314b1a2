"""Settings: from the environment and a ``.env`` file, checked together at start."""

import json
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from auth.oidc_settings import IssuerSettings, by_issuer
from auth.password_rules import LEAST_MIN_LENGTH
from datasources.breached_passwords import PWNED_PASSWORDS_URL
from datasources.database.engine import async_url
from datasources.mail.addresses import NotAnAddress, sender_mailbox
from datasources.mail.smtp import SmtpServer
from datasources.redis import require_redis_url

_ORIGIN = re.compile(r"(https?|chrome-extension|moz-extension|safari-web-extension)://[a-z0-9.-]+(:[0-9]{1,5})?")


LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that are this machine and nothing else."""


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
    audit_heads_file: Path | None = None
    """Where heads of the audit trail are kept; ``data_dir/audit-heads.jsonl`` when absent. Ship it elsewhere."""
    access_token_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1_800
    allowed_origins: Annotated[frozenset[str], NoDecode] = frozenset()
    """Origins of other pages and of browser extensions that may use the API, separated by commas."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed, separated by commas."""
    anonymous_per_minute: Annotated[int, Field(ge=1)] = 1_200
    """Operations that who is not signed in may begin in a minute, per address."""
    refresh_token_seconds: Annotated[int, Field(ge=300, le=31_536_000)] = 604_800
    """Within how long a session must be refreshed."""
    session_days: Annotated[int, Field(ge=1, le=365)] = 30
    """How long a session lasts, however often it is refreshed."""
    api_key_max_days: Annotated[int, Field(ge=1, le=3_660)] = 366
    """The longest that an API key may last."""
    registration: Literal["open", "confirmed", "closed"] = "open"
    """Whether people can register, at once or after a link in a mail; `open` tells which addresses have accounts."""
    account_url: str | None = None
    """Where the pages are that links in mails lead to; the gateway's own, below ``public_url``, when absent."""
    password_min_length: Annotated[int, Field(ge=LEAST_MIN_LENGTH, le=64)] = 15
    breached_passwords_url: str | None = None
    """The range API that new passwords are compared with; Have I Been Pwned's when absent, `off` for none."""
    argon2_memory_kib: Annotated[int, Field(ge=64, le=1 << 21)] = 19_456
    argon2_time_cost: Annotated[int, Field(ge=1, le=100)] = 2
    argon2_parallelism: Annotated[int, Field(ge=1, le=16)] = 1
    hashes_at_once: Annotated[int | None, Field(ge=1, le=64)] = None
    """Passwords that are hashed at the same time; one less than there are processors when absent."""
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
    mail_transport: Literal["folder", "smtp", "sendgrid", "none"] | None = None
    """How mail is sent; when absent as the settings below say, the demo's to the folder, and none without any."""
    mail_from: str | None = None
    """The address that mail comes from: ``Name <name@example.com>``."""
    mail_folder: Path | None = None
    """Where mail is written to instead of sent, for developers; ``data_dir/mail`` when absent."""
    smtp_url: SecretStr | None = None
    """``smtp+starttls://user:password@host:587``, ``smtps:`` or, without encryption, ``smtp:``."""
    sendgrid_api_key: SecretStr | None = None
    sendgrid_url: str = "https://api.sendgrid.com"
    oidc_issuers: Annotated[tuple[IssuerSettings, ...], NoDecode] = ()
    """Outside issuers whose access tokens are taken: a JSON list of objects, see docs/operator.md."""
    redis_url: SecretStr | None = None
    """``redis://`` or ``rediss://`` (TLS): tells the other processes of events at once. One process needs none."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that serve on one port."""
    events_keep_days: Annotated[int, Field(ge=4, le=3_660)] = 30
    """How long events are kept for those who catch up; longer where a webhook still waits for one."""
    events_keep_rows: Annotated[int, Field(ge=1_000)] = 5_000_000
    """The most events that are kept of one organization; more where a webhook still waits for one."""
    webhook_networks: Annotated[tuple[str, ...], NoDecode] = ()
    """Networks that webhooks may be sent to although they are private, separated by commas; those of the public
    internet when absent."""
    demo: bool = False

    @field_validator("allowed_origins", "platforms", "trusted_proxies", "webhook_networks", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: frozenset[str]) -> frozenset[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                message = (
                    "an origin is like https://app.example.com or chrome-extension://<id>: scheme and host, with a "
                    "port where it is not the scheme's own, and nothing after that"
                )
                raise ValueError(message)
        return value

    @field_validator("trusted_proxies", "webhook_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each)
        return value

    @field_validator("oidc_issuers", mode="before")
    @classmethod
    def _written_in_json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            message = 'must be a JSON list, such as [{"issuer": "https://…/", "audience": "https://…/"}]'
            raise ValueError(message) from None

    @field_validator("oidc_issuers")
    @classmethod
    def _each_once(cls, value: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        by_issuer(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _spoken(cls, value: str) -> str:
        if value:
            async_url(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                sender_mailbox(value)
            except NotAnAddress:
                message = "must be an address, with or without a name: Name <name@example.com>"
                raise ValueError(message) from None
        return value

    @field_validator("breached_passwords_url")
    @classmethod
    def _asked_in_secret(cls, value: str | None) -> str | None:
        if value not in (None, "", "off"):
            parts = urlsplit(value)
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
                message = "must be `off` or begin with https://, for it tells something of passwords"
                raise ValueError(message)
        return value

    @field_validator("smtp_url")
    @classmethod
    def _handed_in(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            SmtpServer.parse(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _names_a_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            require_redis_url(value.get_secret_value())
        return value

    @field_validator("sendgrid_api_key")
    @classmethod
    def _fits_into_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        key = "" if value is None else value.get_secret_value()
        if not key.isascii() or any(character <= " " for character in key):
            message = "must be a key as SendGrid shows it, without spaces"
            raise ValueError(message)
        return value

    @field_validator("sendgrid_url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        message = "must be like https://api.sendgrid.com, encrypted because the key travels there"
        try:
            parts = urlsplit(value)
        except ValueError:
            raise ValueError(message) from None
        here = parts.scheme == "http" and parts.hostname in LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or here):
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _mail_can_be_sent(self) -> Self:
        unsaid = self.mail_transport is None and not self.demo
        if unsaid and self.smtp_url is not None and self.sendgrid_api_key is not None:
            message = "both SMTP_URL and SENDGRID_API_KEY are set: say MAIL_TRANSPORT=smtp or MAIL_TRANSPORT=sendgrid"
            raise ValueError(message)
        for way, name, needed in (
            ("smtp", "SMTP_URL", self.smtp_url),
            ("sendgrid", "SENDGRID_API_KEY", self.sendgrid_api_key),
        ):
            if self.mail_way == way and (needed is None or self.mail_from is None):
                message = f"mail by {way} needs {name} and MAIL_FROM"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _demo_stays_at_home(self) -> Self:
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / ('demo.db' if self.demo else 'tributary.db')}"
        if self.demo and self.host not in LOOPBACK:
            message = "the demo has known passwords and listens on 127.0.0.1 only: leave HOST unset"
            raise ValueError(message)
        if self.demo and not self.database_url.startswith("sqlite"):
            message = "the demo seeds a SQLite file of its own only: leave DATABASE_URL unset, or run without --demo"
            raise ValueError(message)
        if self.workers > 1 and self.demo:
            message = "the demo is one process: leave WORKERS unset, or run without --demo"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_process_writes_to_a_file(self) -> Self:
        if self.workers > 1 and self.database_url.startswith("sqlite"):
            message = "SQLite has one writer at a time, and WORKERS brings nothing there: use PostgreSQL, or one worker"
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

    @property
    def heads_file(self) -> Path:
        """Where heads of the audit trail are kept."""
        return self.audit_heads_file or self.data_dir / "audit-heads.jsonl"

    @property
    def account_pages_url(self) -> str:
        """Where links in mails lead to."""
        return (self.account_url or f"{self.base_url}/account").rstrip("/")

    @property
    def breach_service(self) -> str | None:
        """What new passwords are compared with; the demo asks nobody."""
        if self.breached_passwords_url is None:
            return None if self.demo else PWNED_PASSWORDS_URL
        return None if self.breached_passwords_url in ("", "off") else self.breached_passwords_url

    @property
    def mail_way(self) -> Literal["folder", "smtp", "sendgrid", "none"]:
        """How mail is sent."""
        if self.mail_transport is not None:
            return self.mail_transport
        if self.demo:
            return "folder"
        if self.smtp_url is not None:
            return "smtp"
        return "none" if self.sendgrid_api_key is None else "sendgrid"

    @property
    def mail_directory(self) -> Path:
        """Where mail is written to that is not sent."""
        return self.mail_folder or self.data_dir / "mail"


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
