"""What can be configured of an issuer, which of its keys are used, and what cannot be configured at all."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_curve_key
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm
from pydantic import ValidationError

from auth.oidc_keys import usable
from auth.oidc_settings import IssuerSettings, by_issuer
from auth.principal import MemberRole
from tests.oidc.conftest import settings_of
from tests.oidc.issuer import new_key

URL = "https://acme.eu.auth0.example.com/"
EVERY = frozenset({"RS256", "PS256", "ES256", "EdDSA"})


def test_an_issuer_and_its_audience_are_enough() -> None:
    found = IssuerSettings.model_validate({"issuer": URL, "audience": "https://api.example.com/"})
    assert (found.audience, found.algorithms) == (("https://api.example.com/",), ("RS256",))
    assert (found.leeway, found.role, found.userinfo) == (30, MemberRole.MEMBER, True)
    assert found.display_name == "acme.eu.auth0.example.com"
    assert settings_of(URL).display_name == "Acme Login"


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ["HS256"]},
        {"algorithms": ["RS256", "none"]},
        {"algorithms": ["ES384"]},
        {"algorithms": []},
        {"audience": []},
        {"audience": ""},
        {"audience": ["api", "app"], "client_ids": ["app"]},
        {"client_ids": []},
        {"leeway": 61},
        {"leeway": -1},
        {"issuer": "http://acme.example.com"},
        {"issuer": "acme.example.com"},
        {"issuer": "https://acme.example.com/?a=1"},
        {"issuer": "https://acme.example.com/#a"},
        {"issuer": "https://user:secret@acme.example.com/"},
        {"organization_id": "org_a", "organization_claim": "org_id"},
        {"role": "OWNER"},
        {"algorithm": "RS256"},
    ],
    ids=str,
)
def test_what_would_not_be_safe_cannot_be_configured(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_of(**{"url": URL, **wrong})


def test_no_issuer_is_there_twice_or_is_the_gateway_itself() -> None:
    first, second = settings_of(URL), settings_of("https://b.example.com")
    assert by_issuer([first, second], "https://us.example.com") == {URL: first, "https://b.example.com": second}
    for several, own in (([first, first], None), ([first, second], URL)):
        with pytest.raises(ValueError, match="issuer already"):
            by_issuer(several, own)


def public(key: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A key as it is published; ``...`` leaves a part out."""
    private = {"d", "p", "q", "dp", "dq", "qi"}
    return {name: value for name, value in {**key, **changes}.items() if name not in private and value is not ...}


RSA, CURVE, EDWARDS = new_key("RS256", "a"), new_key("ES256", "b"), new_key("EdDSA", "c")


def test_each_key_is_for_the_algorithms_that_fit_it() -> None:
    assert [key.algorithms for key in usable([public(RSA), public(CURVE), public(EDWARDS)], EVERY)] == [
        {"RS256"},
        {"ES256"},
        {"EdDSA"},
    ]
    (either,) = usable([public(RSA, alg=...)], EVERY)
    assert either.algorithms == {"RS256", "PS256"}
    (one,) = usable([public(RSA, alg=...)], frozenset({"PS256", "ES256"}))
    assert one.algorithms == {"PS256"}
    for fine in ({"use": "sig"}, {"key_ops": ["verify"]}, {"kid": ...}, {"x5c": ["MIIB"]}):
        assert len(usable([public(EDWARDS, **fine)], EVERY)) == 1


UNFIT: dict[str, object] = {
    "private, of RSA": RSA,
    "private, of a curve": CURVE,
    "for encryption": public(RSA, use="enc"),
    "not for verifying": public(RSA, key_ops=["encrypt"]),
    "for a text of operations": public(RSA, key_ops="verify"),
    "of another family": public(RSA, alg="ES256"),
    "said to be a secret": public(RSA, alg="HS256"),
    "for an algorithm that is not configured": public(RSA, alg="RS512"),
    "for a list of algorithms": public(RSA, alg=["RS256"]),
    "with a number for an id": public(RSA, kid=7),
    "too short": public(RSA, n="AQAB"),
    "with a number for a modulus": public(RSA, n=7),
    "without an exponent": public(RSA, e=...),
    "a secret that has a public key too": public(RSA, kty="oct", k="AAAA"),
    "a secret": {"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "a"},
    "of a list of kinds": public(RSA, kty=["RSA"]),
    "of no kind": public(RSA, kty=...),
    "on another curve": public(CURVE, crv="P-384"),
    "on a larger curve": {**public(ECAlgorithm.to_jwk(new_curve_key(SECP384R1()), as_dict=True)), "kid": "a"},
    "not on its curve": public(CURVE, x="AAAA"),
    "of a curve as an Edwards curve": public(CURVE, crv="Ed25519", kty="OKP"),
    "on a larger Edwards curve": public(EDWARDS, crv="Ed448"),
    "for agreement": public(EDWARDS, crv="X25519"),
    "cut off": public(EDWARDS, x="AAAA"),
    "a text": "a key",
    "nothing": None,
    "a list": ["a", "key"],
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_key_that_is_not_whole_or_not_for_this_is_left_out(kind: str) -> None:
    assert [each.id for each in usable([UNFIT[kind], public(EDWARDS)], EVERY)] == ["c"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
)


@given(
    base=st.sampled_from([RSA, CURVE, EDWARDS]),
    changes=st.dictionaries(st.sampled_from(["kty", "crv", "alg", "use", "key_ops", "n", "e", "x", "y", "kid"]), JSON),
)
def test_no_set_of_keys_stops_the_gateway(base: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whatever an issuer publishes beside it, the key that is right stays usable."""
    assert usable([public(base, **changes), public(EDWARDS, kid="right")], EVERY)[-1].id == "right"
