"""What the shop needs to be told."""

from typing import Annotated

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from schema.platform import Services

KEY = "shop"
"""The platform's key, as filters, events and settings name it."""


class ShopSettings(BaseSettings):
    """Each field is the environment variable of its name in capitals. Times are in seconds."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    shop_webhook_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    """What the shop signs its webhooks with; without it none is accepted."""
    shop_webhook_tolerance: Annotated[int, Field(ge=1, le=3_600)] = 300
    """How old, or how far ahead of our clock, a webhook may be."""
    shop_upstream_url: HttpUrl | None = None
    """Where the shop's own REST API is; without it ``shopPosts`` answers that it is not connected."""
    shop_upstream_timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long the REST API may take to answer."""


def settings_of(services: Services) -> ShopSettings:
    """The settings of the running gateway."""
    return services.settings_of(KEY, ShopSettings)
