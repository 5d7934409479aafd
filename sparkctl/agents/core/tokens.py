"""Short-lived tokens: JWT of one fixed algorithm, with a fixed key, for one audience; no header is obeyed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.core.failure import Refused, Unauthorized
from sparkctl.agents.core.principal import USER, Principal, Scope
from sparkctl.agents.core.secret_file import read_secret

SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of HS256 is as long as its hash, or longer."""
LONGEST = 4_096
"""Characters of a token; ours have about 300."""
LEEWAY_SECONDS = 5
CLAIMS = ("exp", "iat", "aud", "sub")


@dataclass(frozen=True)
class Signer:
    """Makes and reads tokens; one for EdDSA holds a public key and only reads."""

    algorithm: str
    key: bytes | Ed25519PublicKey
    audience: str
    seconds: int

    def issue(self, principal: Principal, scopes: frozenset[Scope], seconds: int) -> str:
        """A token of that user for at most so long. Raises Refused, and Forbidden for scopes that it lacks."""
        if not isinstance(self.key, bytes):
            raise Refused("tokens are made by the holder of the private key, not here")
        for scope in scopes:
            principal.require(scope)
        now = int(time.time())
        claims = {
            "sub": principal.user,
            "aud": self.audience,
            "iat": now,
            "exp": now + min(seconds, self.seconds),
            "scopes": sorted(scopes),
        }
        return jwt.encode(claims, self.key, self.algorithm)

    def read(self, token: str) -> Principal:
        """Who a token speaks for. Raises Unauthorized, and does not say more than that it is not valid."""
        if len(token) > LONGEST:
            raise Unauthorized("this token is too long")
        try:
            claims = jwt.decode(
                token,
                self.key,
                [self.algorithm],
                audience=self.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": list(CLAIMS), "strict_aud": True},
            )
            return self._principal(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Unauthorized("this token is not valid, or no longer") from error

    def _principal(self, claims: dict[str, Any]) -> Principal:
        scopes = claims.get("scopes", [])
        if (
            not isinstance(scopes, list)
            or claims["exp"] - claims["iat"] > self.seconds
            or not USER.match(claims["sub"])
        ):
            raise ValueError
        return Principal(claims["sub"], frozenset(map(Scope, scopes)), delegated=True)


def open_signer(document: AgentsDocument) -> Signer | None:
    """What the configuration says; None without a key. Raises Refused for one that is weak or of another kind."""
    access, folder = document.agents.access, Path(document.where.secrets)
    name, read = KEYS[access.token_algorithm]
    if not (path := folder / name).exists():
        return None
    return Signer(access.token_algorithm, read(path), access.token_audience, access.token_minutes * 60)


def _secret(path: Path) -> bytes:
    secret = read_secret(path)
    if len(secret) < SECRET_BYTES:
        raise Refused(f"{path} holds {len(secret)} bytes; a secret that signs tokens has at least {SECRET_BYTES}")
    return secret


def _public(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(read_secret(path))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(f"{path} is no public key of Ed25519 in PEM")
    return key


KEYS: dict[str, tuple[str, Callable[[Path], bytes | Ed25519PublicKey]]] = {
    "HS256": ("jwt-secret", _secret),
    "EdDSA": ("jwt-public-key", _public),
}
"""The file among the secrets that holds the key of an algorithm, and how it is read."""
