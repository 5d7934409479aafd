"""Tokens: those that the gateway made for the one audience, and no others, whoever forged them and how."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from agent_world import KEY, World, document_of, world
from callers import SECRET, bearer, made, status
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi.testclient import TestClient

from sparkctl.agent_spec import Access, AgentsDocument
from sparkctl.agents.api.app import create_app
from sparkctl.agents.core.failure import Refused
from sparkctl.agents.core.tokens import open_signer

AUDIENCE = Access().token_audience
PRIVATE = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"of the tests").digest())
PUBLIC_PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
YEAR_2100 = 4_102_444_800


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims but for what is changed; None takes one away."""
    now = int(time.time())
    good = {"sub": "anna", "aud": AUDIENCE, "iat": now, "exp": now + 60, "scopes": ["admin"]}
    return {name: value for name, value in (good | changed).items() if value is not None}


def by_hand(header: dict[str, Any], body: dict[str, Any], secret: bytes = SECRET.encode()) -> str:
    """A token that no library would make, signed by HMAC-SHA256 whatever its header says."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body)]
    signature = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with a secret for tokens."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "jwt-secret").write_text(SECRET)
    with world(folder) as gateway:
        yield gateway


def test_a_key_buys_a_token_for_a_part_of_its_scopes(signing: World) -> None:
    key = made(signing, scopes=["chat", "documents"])["key"]
    answer = signing.client.post("/tokens", json={"scopes": ["chat"], "seconds": 86_400}, headers=bearer(key)).json()
    assert (answer["expires_in"], answer["scopes"]) == (15 * 60, ["chat"])
    token = answer["access_token"]
    assert signing.client.post("/chat", json={"message": "hi"}, headers=bearer(token)).status_code == 200
    assert status(signing, "/keys", token) == 403
    again = signing.client.post("/tokens", json={}, headers=bearer(token))
    assert (again.status_code, again.json()["error"]["code"]) == (403, "forbidden")


def test_a_key_buys_no_scope_that_it_lacks(signing: World) -> None:
    key = made(signing, scopes=["chat"])["key"]
    response = signing.client.post("/tokens", json={"scopes": ["chat", "admin"]}, headers=bearer(key))
    assert response.status_code == 403


def test_a_token_makes_no_key_that_would_outlive_it(signing: World) -> None:
    token = bearer(jwt.encode(claims(), SECRET, "HS256"))
    response = signing.client.post("/keys", json={"user": "anna"}, headers=token)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
    assert signing.client.get("/keys", headers=token).status_code == 200


def test_a_good_token_is_taken(signing: World) -> None:
    assert status(signing, "/keys", jwt.encode(claims(), SECRET, "HS256")) == 200
    late = claims(exp=int(time.time()) - 1, iat=int(time.time()) - 60)
    assert status(signing, "/keys", jwt.encode(late, SECRET, "HS256")) == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"iat": None},
        {"aud": None},
        {"sub": None},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": 2**70},
        {"exp": 1e999},
        {"exp": YEAR_2100},
        {"iat": YEAR_2100, "exp": YEAR_2100 + 60},
        {"nbf": YEAR_2100},
        {"aud": "another"},
        {"aud": [AUDIENCE, "another"]},
        {"aud": AUDIENCE.upper()},
        {"sub": 7},
        {"sub": ""},
        {"sub": "anna\n"},
        {"sub": "../owner"},
        {"scopes": ["admin", "root"]},
        {"scopes": "admin"},
        {"scopes": [["admin"]]},
        {"scopes": {"admin": True}},
    ],
    ids=repr,
)
def test_claims_that_are_missing_or_wrong(signing: World, changed: dict[str, Any]) -> None:
    assert status(signing, "/keys", by_hand({"alg": "HS256", "typ": "JWT"}, claims(**changed))) == 401


def test_a_token_without_scopes_opens_nothing(signing: World) -> None:
    assert status(signing, "/keys", jwt.encode(claims(scopes=None), SECRET, "HS256")) == 403


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "nOnE"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": "EdDSA"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["HS256"]},
        {},
        {"alg": "HS256", "crit": ["exp"]},
    ],
    ids=repr,
)
def test_another_algorithm_is_not_obeyed(signing: World, header: dict[str, Any]) -> None:
    assert status(signing, "/keys", by_hand(header, claims())) == 401


def test_a_token_without_a_signature(signing: World) -> None:
    whole = jwt.encode(claims(), SECRET, "HS256")
    unsigned = jwt.encode(claims(), "", "none")
    for forged in (unsigned, whole.rpartition(".")[0] + ".", whole[:-4] + "AAAA", whole + "x", "..", f".{whole}"):
        assert status(signing, "/keys", forged) == 401


@pytest.mark.parametrize("secret", [b"", b"secret", KEY.encode(), SECRET.encode()[:-1], SECRET.encode() + b"\n"])
def test_another_secret(signing: World, secret: bytes) -> None:
    assert status(signing, "/keys", by_hand({"alg": "HS256"}, claims(), secret)) == 401


@pytest.mark.parametrize(
    "kid", ["/dev/null", "../../../dev/null", "' UNION SELECT '' --", "jwt-secret", {}, 7], ids=repr
)
def test_a_header_names_no_key(signing: World, kid: object) -> None:
    pointing = {"alg": "HS256", "kid": kid, "jku": "http://127.0.0.1:1/", "x5u": "file:///dev/null", "jwk": {"k": ""}}
    assert status(signing, "/keys", by_hand(pointing, claims(), b"")) == 401


def test_a_huge_token_is_not_read(signing: World) -> None:
    huge = jwt.encode(claims(padding="x" * 8_000), SECRET, "HS256")
    assert status(signing, "/keys", huge) == 401
    deep = '{"a":' * 500 + "1" + "}" * 500
    body = base64.urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
    assert status(signing, "/keys", f"{body}.{body}.x") == 401


@pytest.fixture
def verifying(tmp_path: Path) -> Iterator[TestClient]:
    """A gateway that reads tokens of another issuer."""
    document = edwards(tmp_path, PUBLIC_PEM)
    with TestClient(create_app(document)) as client:
        yield client


def edwards(folder: Path, pem: bytes) -> AgentsDocument:
    """What a gateway for EdDSA is told, with that file as public key."""
    document = document_of(folder, "http://127.0.0.1:1/v1", access={"token_algorithm": "EdDSA"})
    Path(document.where.secrets, "jwt-public-key").write_bytes(pem)
    return document


def test_tokens_of_another_issuer(verifying: TestClient) -> None:
    good = jwt.encode(claims(), PRIVATE, "EdDSA")
    assert verifying.get("/keys", headers=bearer(good)).status_code == 200
    made_here = verifying.post("/tokens", json={}, headers=bearer(KEY))
    assert (made_here.status_code, made_here.json()["error"]["code"]) == (400, "bad_request")


def test_the_public_key_is_no_secret_of_hmac(verifying: TestClient) -> None:
    raw = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for secret in (PUBLIC_PEM, PUBLIC_PEM.strip(), raw):
        for header in ({"alg": "HS256"}, {"alg": "EdDSA"}):
            forged = by_hand(header, claims(), secret)
            assert verifying.get("/keys", headers=bearer(forged)).status_code == 401
    other = jwt.encode(claims(), Ed25519PrivateKey.generate(), "EdDSA")
    assert verifying.get("/keys", headers=bearer(other)).status_code == 401


def test_a_weak_or_wrong_key_is_refused_at_the_start(tmp_path: Path) -> None:
    document = document_of(tmp_path, "http://127.0.0.1:1/v1")
    assert open_signer(document) is None
    Path(document.where.secrets, "jwt-secret").write_text("x" * 31 + "\n")
    with pytest.raises(Refused, match="31 bytes"):
        open_signer(document)
    rsa = generate_private_key(65_537, 2_048)
    private = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (
        b"",
        b"nonsense",
        private,
        rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ):
        with pytest.raises(Refused, match="Ed25519"):
            open_signer(edwards(tmp_path, pem))
