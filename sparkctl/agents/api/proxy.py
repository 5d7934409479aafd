"""Raw models: requests of OpenAI's API that an engine answers, passed to it and back as they are."""

import logging
from secrets import token_hex
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.errors import request_id
from sparkctl.agents.api.passing import Call, Passing
from sparkctl.agents.api.raw_body import RawBody, read_raw, refuse_unsafe
from sparkctl.agents.core.endpoints import Served
from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import Failure, Refused, Unknown
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal, Scope
from sparkctl.agents.core.quota import check, spend

LOG = logging.getLogger("sparkctl.agents")
AGENTS = "sparkctl/"
"""What the models that are agents begin with."""
TRACED = ("accept", "traceparent", "tracestate")
"""Headers of a client that its engine gets: no key, no cookie, nothing of the connection."""
router = APIRouter(tags=["openai"])


async def raw_body(request: Request, _caller: Caller) -> RawBody:
    """The body, with its model found; it may be large, so it is read after the key. Raises Refused."""
    return read_raw(await request.body())


Raw = Annotated[RawBody, Depends(raw_body)]


def described(required: dict[str, Any]) -> dict[str, Any]:
    """What the OpenAPI document says of a body that is read by hand: these members, and whatever the engine takes."""
    schema = {
        "type": "object",
        "properties": {"model": {"type": "string"}, **required},
        "required": ["model", *required],
        "additionalProperties": True,
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What the engine answered, byte by byte.",
        "content": {"application/json": {"schema": {}}, "text/event-stream": {"schema": {"type": "string"}}},
    }
}
ANYTHING: dict[str, Any] = {}


@router.post(
    "/v1/completions",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=described({"prompt": ANYTHING}),
)
@router.post(
    "/v1/embeddings",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=described({"input": ANYTHING}),
)
@router.post(
    "/v1/responses",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=described({"input": ANYTHING}),
)
async def passed(request: Request, body: Raw, caller: Caller, platform: Home) -> Response:
    """Passed to the engine of that model, and answered by it, stream or not."""
    if body.model.startswith(AGENTS):
        raise Refused(f"{body.model} answers at /v1/chat/completions alone")
    return await forward(request, body, caller, platform)


async def forward(request: Request, body: RawBody, caller: Principal, platform: Platform) -> Passing:
    """The answer of the engine that serves this model, at the same path. Raises Unknown, Forbidden, TooMuch."""
    caller.require(Scope.CHAT)
    await check(platform, caller)
    try:
        served = platform.endpoints.find(body.model or "?")
    except Unknown as failure:
        raise Unknown(f"{failure.message}; GET /v1/models lists all") from failure
    refuse_unsafe(body.text)
    path = request.scope["path"].removeprefix("/v1")
    call = Call(served.endpoint.url.rstrip("/") + path, headers_for(request, served), body.renamed(served.endpoint.id))

    async def spent(usage: Usage) -> None:
        try:
            await spend(platform, caller, usage)
        except Failure as failure:
            LOG.error("tokens of an answer were not counted: %s", failure.message)

    return Passing(platform.endpoints.raw, call, spent)


def headers_for(request: Request, served: Served) -> dict[str, str]:
    """What the engine is told beside the body: its own key instead of the client's, and an id that is of this request.

    By it vLLM keeps requests apart, and takes it from this header before `request_id` of the body: two with the same
    one at a time disturb each other, and older versions of the engine (vllm#10583, vllm#27987).
    """
    kept = {name: request.headers[name] for name in TRACED if name in request.headers}
    key = f"Bearer {served.client.api_key}"
    kept["x-request-id"] = f"{request_id(request)}-{token_hex(4)}"
    return kept | {"authorization": key, "content-type": "application/json", "accept-encoding": "identity"}
