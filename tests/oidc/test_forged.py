"""What is not exactly a token that the issuer gave out for this API is refused: always alike, and without a trace."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm

from auth.errors import InvalidToken
from auth.oidc_keys import IssuerKey, usable
from auth.oidc_tokens import MAX_TOKEN_LENGTH, check, read
from tests.oidc.conftest import Door, OpenDoor, refusal, settings_of
from tests.oidc.forge import HOUR, Forge, encoded
from tests.oidc.issuer import API, APP, MockIssuer, new_key

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database_url(seeded_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One kind is enough: a token that is refused reaches no database."""
    path = tmp_path_factory.mktemp("forged") / "demo.db"
    shutil.copy(seeded_sqlite, path)
    return f"sqlite:///{path}"


OTHER_KEYS = {algorithm: new_key(algorithm, "other") for algorithm in ("RS256", "ES256", "EdDSA")}


def as_raw(forge: Forge, **changes: Any) -> bytes:
    """The usual claims as JSON text without its closing brace, to be gone on with."""
    return repr({**forge.claims(), **changes}).replace("'", '"').replace("False", "false")[:-1].encode()


def without_private_part(jwk: dict[str, Any]) -> dict[str, Any]:
    """What everybody may have of a key."""
    return {name: value for name, value in jwk.items() if name != "d"}


def with_own_jwk(forge: Forge, **header: Any) -> str:
    """A token that brings the key along that it was signed with."""
    key = Ed25519PrivateKey.generate()
    jwk = {**OKPAlgorithm.to_jwk(key, as_dict=True), "alg": "EdDSA", "kid": "edwards"}
    return forge.sign(algorithm="EdDSA", key=jwk, header={"jwk": without_private_part(jwk), **header})


def changed(forge: Forge, **changes: Any) -> str:
    """A token whose claims were changed after it was signed."""
    header, _, signature = forge.sign().split(".")
    return f"{header}.{encoded(forge.claims(**changes))}.{signature}"


def claiming(**changes: Any) -> Callable[[Forge], str]:
    """Tokens of the issuer with these claims; ``...`` leaves one out."""
    return lambda forge: forge.sign(forge.claims(**changes))


def heading(**changes: Any) -> Callable[[Forge], str]:
    """Tokens of the issuer with these headers; ``...`` leaves one out."""
    return lambda forge: forge.sign(header=changes)


def unsigned(algorithm: str) -> Callable[[Forge], str]:
    """Tokens that say to need no signature, and have something for one."""
    header = encoded({"alg": algorithm, "typ": "JWT", "kid": "rsa"})
    return lambda forge: f"{header}.{encoded(forge.claims())}.{encoded(b'x')}"


def with_public_key(form: str, algorithm: str) -> Callable[[Forge], str]:
    """Tokens that are signed with the public key as if it were a secret."""
    return lambda forge: forge.with_secret(forge.public(form), algorithm)


def by_another_key(algorithm: str, *, named_as_ours: bool = False) -> Callable[[Forge], str]:
    """Tokens of somebody who made a key of the same kind."""

    def make(forge: Forge) -> str:
        header = {"kid": forge.key(algorithm)["kid"]} if named_as_ours else {}
        return forge.sign(algorithm=algorithm, key=OTHER_KEYS[algorithm], header=header)

    return make


NOW = int(time.time())
FORGED: dict[str, Callable[[Forge], str]] = {
    "no signature": lambda f: f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(f.claims())}.",
    **{f"no signature, called {name}": unsigned(name) for name in ("none", "None", "nOnE", "NONE", "")},
    **{f"HS256 with the public key in {form}": with_public_key(form, "HS256") for form in ("PEM", "DER", "JWK")},
    **{f"HS512 with the public key in {form}": with_public_key(form, "HS512") for form in ("PEM", "DER", "JWK")},
    "HS256 called RS256": lambda f: f.with_secret(f.public("PEM"), "RS256"),
    "HS256 with nothing": lambda f: f.with_secret(b""),
    "PS256, which is not configured": lambda f: f.sign(key=f.key("RS256"), algorithm="PS256"),
    "PS256 called RS256": lambda f: f.sign(by="PS256"),
    "RS512 called RS256": lambda f: f.sign(by="RS512"),
    "RS256 with the id of a curve's key": heading(kid="curve"),
    "EdDSA called ES256": lambda f: f.sign(header={"alg": "ES256", "kid": "curve"}, algorithm="EdDSA"),
    "an algorithm that is no text": heading(alg=256),
    "no algorithm": heading(alg=...),
    **{f"{name} by another key": by_another_key(name) for name in OTHER_KEYS},
    **{
        f"{name} by another key that is called like ours": by_another_key(name, named_as_ours=True)
        for name in OTHER_KEYS
    },
    "another key, without its id": lambda f: f.sign(key=OTHER_KEYS["RS256"], header={"kid": ...}),
    "a key id that nobody knows": heading(kid="unknown"),
    "a key id that is a path": heading(kid="../../../../dev/null"),
    "a key id that is a query": heading(kid="rsa' OR '1'='1"),
    "a key id that is an address": heading(kid="https://attacker.example.com/jwks"),
    "a key id that is huge": heading(kid="k" * 5_000),
    "a key id that is empty": heading(kid=""),
    "a key id that is a list": heading(kid=["rsa"]),
    "a key id that is a number": heading(kid=0),
    "a key of its own": with_own_jwk,
    "a key of its own, named as ours": lambda f: with_own_jwk(f, kid="edwards"),
    "a right signature beside a key of its own": heading(jwk={"kty": "RSA"}),
    "keys elsewhere": heading(jku="http://127.0.0.1:1/jwks"),
    "a certificate elsewhere": heading(x5u="http://127.0.0.1:1/cert"),
    "a certificate within": heading(x5c=["MIIB"]),
    "a critical header": heading(crit=["exp2"], exp2=1),
    "a critical header that everybody knows": heading(crit=["exp"]),
    "a payload that is not encoded": heading(b64=False),
    "a payload that is said to be encoded": heading(b64=True),
    "a payload that is packed": heading(zip="DEF"),
    "a token within a token": lambda f: f.sign(encoded(f.sign()).encode(), header={"cty": "JWT"}),
    "said to hold a token": heading(cty="JWT"),
    "said to be encrypted": heading(enc="A256GCM"),
    "of another type": heading(typ="logout+jwt"),
    "of a type for an ID": heading(typ="id+jwt"),
    "a type that is a number": heading(typ=1),
    "an issuer elsewhere": claiming(iss="https://elsewhere.example.com"),
    "the issuer with a slash": lambda f: f.sign(f.claims(iss=f"{f.issuer}/")),
    "the issuer in a list": lambda f: f.sign(f.claims(iss=[f.issuer])),
    "for somebody else": claiming(aud="https://other.example.com/"),
    "for something longer": claiming(aud=f"{API}x"),
    "for nobody": claiming(aud=[]),
    "for one who is no text": claiming(aud=[API, 7]),
    "for an object": claiming(aud={API: True}),
    "of another client": claiming(azp="another-app"),
    "of no client": claiming(azp=...),
    "of a list of clients": claiming(azp=[APP]),
    "of two clients": claiming(client_id="another-app"),
    **{f"without {name}": claiming(**{name: ...}) for name in ("exp", "iat", "sub", "aud", "iss")},
    **{f"{name} is nothing": claiming(**{name: None}) for name in ("exp", "iat", "sub", "aud", "iss", "nbf")},
    "ended": claiming(iat=NOW - 2 * HOUR, exp=NOW - HOUR),
    "of the future": claiming(iat=NOW + HOUR, exp=NOW + 2 * HOUR),
    "not yet": claiming(nbf=NOW + HOUR),
    "ended before it began": claiming(iat=NOW + 20, exp=NOW + 10),
    **{f"{name} is a text": claiming(**{name: str(NOW + 10)}) for name in ("exp", "iat", "nbf")},
    **{f"{name} is true": claiming(**{name: True}) for name in ("exp", "iat", "nbf")},
    **{f"{name} is a list": claiming(**{name: [NOW]}) for name in ("exp", "iat", "nbf")},
    "ends beyond all years": claiming(exp=10**15),
    "an infinite end": lambda f: f.sign(as_raw(f).replace(b'"exp": ', b'"exp": 1e999, "was": ') + b"}"),
    "an end that is Infinity": lambda f: f.sign(as_raw(f).replace(b'"exp": ', b'"exp": Infinity, "was": ') + b"}"),
    "a beginning that is NaN": lambda f: f.sign(as_raw(f) + b', "nbf": NaN}'),
    "a number that is none": lambda f: f.sign(as_raw(f) + b', "level": NaN}'),
    "began before 1970": claiming(iat=-5),
    "about nobody": claiming(sub=""),
    "about a number": claiming(sub=7),
    "about a very long name": claiming(sub="s" * 256),
    "about a name with U+0000": claiming(sub="auth0|\0"),
    "about half a character": lambda f: f.sign(as_raw(f, sub="HALF").replace(b"HALF", rb"\ud800") + b"}"),
    "two subjects": lambda f: f.sign(as_raw(f) + b', "sub": "auth0|admin"}'),
    "two audiences": lambda f: f.sign(as_raw(f, aud="elsewhere") + b', "aud": "' + API.encode() + b'"}'),
    "claims that are a list": lambda f: f.sign([f.claims()]),
    "claims that are a text": lambda f: f.sign("claims"),
    "claims that are no JSON": lambda f: f.sign(b"\xff\xfe"),
    "claims that are cut off": lambda f: f.sign(as_raw(f)),
    "claims with something behind": lambda f: f.sign(as_raw(f) + b"}}"),
    "claims that are very deep": lambda f: f.sign(b'{"sub":' * 900 + b"1" + b"}" * 900),
    "an ID token with a nonce": claiming(nonce="n-0S6"),
    "an ID token with the hash of a token": claiming(at_hash="77Qm"),
    "an ID token with the hash of a code": claiming(c_hash="77Qm"),
    "a token for the client itself": claiming(aud=APP),
    "a token for the client itself that says so": claiming(aud=[API], azp=API, client_id=API),
    "a notice that somebody left": claiming(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    "other claims": lambda f: changed(f, sub="auth0|admin"),
    "signature of another token": lambda f: f.sign().rpartition(".")[0] + "." + f.sign(f.claims(jti="x")).split(".")[2],
    "signature stripped": lambda f: f.sign().rpartition(".")[0] + ".",
    "signature and dot stripped": lambda f: f.sign().rpartition(".")[0],
    "signature cut": lambda f: f.sign()[:-4],
    "signature longer": lambda f: f.sign() + "AAAA",
    "signature with a sign that base64url has not": lambda f: f.sign()[:-10] + "!" + f.sign()[-10:],
    "signature filled up": lambda f: f.sign() + "==",
    "in DER": lambda f: f.in_der(),
    "nothing for a signature on a curve": lambda f: f.with_signature(bytes(64), "ES256"),
    "nothing for a signature on a curve, in DER": lambda f: f.with_signature(
        bytes.fromhex("3006020100020100"), "ES256"
    ),
    "nothing for a signature on another curve": lambda f: f.with_signature(bytes(64), "EdDSA"),
    "nothing for a signature of RSA": lambda f: f.with_signature(bytes(256)),
    "one for a signature of RSA": lambda f: f.with_signature(bytes(255) + b"\1"),
    "encrypted, in five parts": lambda f: ".".join(
        [encoded({"alg": "RSA-OAEP", "enc": "A256GCM"}), "a", "b", "c", "d"]
    ),
    "four parts": lambda f: f"{f.sign()}.{encoded(b'x')}",
    "two tokens": lambda f: f"{f.sign()}.{f.sign()}",
    "a line behind": lambda f: f"{f.sign()}\n",
    "a space before": lambda f: f" {f.sign()}",
    "too long": claiming(padding="x" * MAX_TOKEN_LENGTH),
    "no token at all": lambda _: "",
    "dots": lambda _: "..",
    "many dots": lambda _: "." * 8_000,
    "other letters": lambda f: f.sign().replace("e", "е"),  # noqa: RUF001 -- a Cyrillic letter
    "half a character": lambda f: f.sign() + "\ud800",
}


@pytest.mark.parametrize("kind", FORGED)
async def test_a_forged_token_is_refused_and_nothing_is_made_or_said(
    door: Door, forge: Forge, issuer: MockIssuer, kind: str
) -> None:
    statements: list[str] = []
    door.database.observers.append(statements.append)
    message = await refusal(door, FORGED[kind](forge))
    assert message == "The access token is not valid, or no longer. Sign in again."
    assert statements == []
    assert issuer.asked("/userinfo") == 0


async def test_the_tokens_that_were_forged_hold_when_they_are_not(door: Door, forge: Forge) -> None:
    """So that each refusal above has a reason of its own."""
    right = [
        *(forge.sign(algorithm=name) for name in ("RS256", "ES256", "EdDSA")),
        *(forge.sign(header={"typ": name}) for name in ("at+jwt", "AT+JWT", "application/at+jwt", ...)),
        forge.sign(header={"x5t": "thumb"}),
        forge.sign(forge.claims(aud=API)),
        forge.sign(forge.claims(exp=time.time() + 60.5, nbf=NOW - 10)),
        forge.sign(forge.claims(sub="s" * 255)),
        forge.sign(as_raw(forge) + b"}"),
        forge.sign(forge.claims(padding="x" * 5_000)),
    ]
    for token in right:
        assert (await door.issuers.verify(token)).user_id


async def test_the_keys_of_one_issuer_prove_nothing_for_another(
    open_door: OpenDoor, issuer: MockIssuer, other_issuer: MockIssuer
) -> None:
    """Neither under their own ids nor under the other's, nor under none."""
    other_issuer.serve([OTHER_KEYS["RS256"]])
    door = open_door(settings_of(other_issuer.url))
    ours, theirs = Forge(issuer.url, issuer.keys), Forge(other_issuer.url, other_issuer.keys)
    assert (await door.issuers.verify(ours.sign())).user_id != (await door.issuers.verify(theirs.sign())).user_id
    for signer, victim in ((ours, theirs), (theirs, ours)):
        for key_id in (signer.key("RS256")["kid"], victim.key("RS256")["kid"], ...):
            await refusal(door, signer.sign(victim.claims(), header={"kid": key_id}))


MADE = Forge("https://issuer.example.com", [OTHER_KEYS["EdDSA"]])
SETTINGS = settings_of(MADE.issuer)
TOKEN = MADE.sign(algorithm="EdDSA")
(PUBLIC,) = usable([without_private_part(OTHER_KEYS["EdDSA"])], frozenset(SETTINGS.algorithms))


async def made_key(_key_id: str | None, _algorithm: str) -> IssuerKey:
    """The key that the token is signed with, whatever key is asked for: only the signature decides."""
    return PUBLIC


@settings(max_examples=300)
@given(
    place=st.integers(0, len(TOKEN)),
    gone=st.integers(0, 4),
    letters=st.text(st.sampled_from("ABCabcz019-_.=+/ %é"), max_size=4),
)
async def test_no_token_holds_that_differs_from_one_that_does(place: int, gone: int, letters: str) -> None:
    changed_token = TOKEN[:place] + letters + TOKEN[place + gone :]
    if changed_token == TOKEN:
        assert (await check(read(TOKEN), SETTINGS, made_key)).subject == "auth0|forged"
    else:
        with pytest.raises(InvalidToken):
            await check(read(changed_token), SETTINGS, made_key)


@pytest.mark.parametrize("letter", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
async def test_no_other_last_letter_holds(letter: str) -> None:
    """The last letter of a signature has bits to spare, which decoders overlook."""
    if letter != TOKEN[-1]:
        with pytest.raises(InvalidToken):
            await check(read(TOKEN[:-1] + letter), SETTINGS, made_key)


async def test_whoever_looks_at_a_token_looks_at_its_issuer_too() -> None:
    """Not only those who have found the settings by it."""
    elsewhere = MADE.sign(MADE.claims(iss="https://other.example.com"), "EdDSA")
    with pytest.raises(InvalidToken):
        await check(read(elsewhere), SETTINGS, made_key)
