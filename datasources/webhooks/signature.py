"""Signatures of webhooks: Standard Webhooks 1.0, symmetric (https://www.standardwebhooks.com).

A secret is ``whsec_`` and 24 to 64 random bytes in base64. What is signed is ``<id>.<seconds since 1970>.<body>``, with
HMAC-SHA-256; a signature is ``v1,`` and the digest in base64. Several stand side by side, so that a secret can change
while receivers know only one of them.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

SECRET_START = "whsec_"  # noqa: S105 -- how all of them begin
_SECRET_BYTES = 32


def new_secret() -> str:
    """A secret that nobody has had."""
    return SECRET_START + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(signing: Sequence[str], delivery_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove a body, under each of the secrets in ``signing``."""
    timestamp = str(int(at.timestamp()))
    content = f"{delivery_id}.{timestamp}.".encode() + body
    signatures = [
        f"v1,{b64encode(hmac.new(b64decode(secret.removeprefix(SECRET_START)), content, sha256).digest()).decode()}"
        for secret in signing
    ]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
