"""Who asks: the dependency of every route that is not public."""

import hmac
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette import types

from sparkctl.agents.core import keys, quota
from sparkctl.agents.core.failure import Refused, Unauthorized
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal, Scope

OWNER = "owner"
"""The user of the key that `up` makes."""
FILES = {
    "agents-key": Principal(OWNER),
    "metrics-key": Principal("metrics", frozenset({Scope.METRICS})),
}
"""Keys that are files among the secrets, and who shows them."""
BEARER = HTTPBearer(auto_error=False, description="An API key, or a JWT.")


async def platform_of(request: Request) -> Platform:
    """The platform of this process. FastAPI would send what is not async to a thread, at every request."""
    platform: Platform = request.app.state.platform
    return platform


Home = Annotated[Platform, Depends(platform_of)]


async def principal_of(
    request: Request, platform: Home, shown: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
) -> Principal:
    """Who the shown key or token belongs to, found once; what does more than read counts in their minute.

    Raises Unauthorized, TooMuch.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    if shown is None:
        raise Unauthorized("send the key as: Authorization: Bearer KEY")
    try:
        principal = await identify(platform, shown.credentials)
    except Unauthorized as error:
        await platform.journal.refused(request.client.host if request.client else "", error.message)
        raise
    request.state.user = principal.user
    if request.method != "GET":
        await quota.count(platform, principal)
    request.state.principal = principal
    return principal


async def enter(scope: types.Scope) -> None:
    """Find who asks before the body of the request is read. Raises Unauthorized, TooMuch, Unavailable."""
    request = Request(scope)
    await principal_of(request, await platform_of(request), await BEARER(request))


async def enterable(platform: Platform) -> None:
    """Raises Refused where nobody could enter: no key of the owner, none that was made, and no tokens."""
    key = Path(platform.document.where.secrets, "agents-key")
    if _secret(key) or platform.signer or await keys.any_holds(platform.database):
        return
    raise Refused(
        f"nobody could enter: {key} holds no key, `sparkctl agents key` made none, and no secret is there for tokens"
    )


async def identify(platform: Platform, shown: str) -> Principal:
    """A key of a file, a key of the table, or a token. Raises Unauthorized, Unavailable."""
    for name, principal in FILES.items():
        if _is(Path(platform.document.where.secrets, name), shown):
            return principal
    if shown.startswith(keys.PREFIX):
        return await keys.holder(platform, shown)
    if platform.signer and shown.count(".") == 2:
        return platform.signer.read(shown)
    raise Unauthorized("this key is not known; `sparkctl credentials` prints the one that `up` made")


def _is(path: Path, shown: str) -> bool:
    secret = _secret(path)
    return len(secret) > 0 and hmac.compare_digest(shown.encode(), secret)


def _secret(path: Path) -> bytes:
    """What stands in the file; nothing where it cannot be read."""
    try:
        return path.read_bytes().strip()
    except OSError:
        return b""


Caller = Annotated[Principal, Depends(principal_of)]
