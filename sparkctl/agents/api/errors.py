"""Failures as HTTP answers: `{"error": {"code", "message", "request_id"}}`, whatever went wrong.

With `type` and `param` beside them it is the shape of OpenAI's errors, too: one for all readers.
"""

import logging
import math
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from sparkctl.agents.core.failure import (
    Cancelled,
    Failure,
    NeedsApproval,
    TooLarge,
    TooMuch,
    Unauthorized,
    Unavailable,
)

LOG = logging.getLogger("sparkctl.agents")
LEFT = 499
"""Nobody reads it but the log and the figures: nginx' status for a client that closed its connection."""
CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
}
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
"""OpenAI's words for what went wrong, by status; the others are `invalid_request_error` and `server_error`."""
SHOWN = 100
"""Letters of a path that are shown."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNREAD = ("", "application/x-www-form-urlencoded", "text/plain")
"""Types that clients send by themselves with a body of JSON: curl with `-d` the second."""
HEADERS = {
    Unauthorized.status: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.REQUEST_TIMEOUT: {"Connection": "close"},
    TooLarge.status: {"Connection": "close"},  # or the server reads on, for as long as the client likes to send
}


class ErrorDetail(BaseModel):
    """What went wrong: `code` for programs, `message` for people, `request_id` for the log, `type` as OpenAI's."""

    code: str
    message: str
    request_id: str
    type: str
    param: None = None


class ErrorBody(BaseModel):
    """The body of every answer that is not 2xx."""

    error: ErrorDetail


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"error": ErrorDetail.model_json_schema()},
                    "required": ["error"],
                }
            }
        },
    }
}
"""What the OpenAPI document says of errors: JSON everywhere, where a model would take the type of the answer."""


def request_id(request: Request) -> str:
    """The id of this request: made once, in every error and log line of it."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = uuid4().hex
    return str(request.state.request_id)


def answer(request: Request, status: int, code: str, message: str) -> JSONResponse:
    """An error as the API gives it."""
    return JSONResponse(body_of(request, status, code, message).model_dump(), status, HEADERS.get(status))


def body_of(request: Request, status: int, code: str, message: str) -> ErrorBody:
    """The body of an error, which a stream that has begun brings as an event."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return ErrorBody(error=ErrorDetail(code=code, message=message, request_id=request_id(request), type=kind))


def add_handlers(app: FastAPI) -> None:
    """Failures, bad requests, unknown paths, and our own bugs: one shape."""

    @app.exception_handler(Failure)
    async def failed(request: Request, error: Failure) -> JSONResponse:
        response = answer(request, error.status, error.code, error.message)
        if isinstance(error, TooMuch):
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        if isinstance(error, Unauthorized | TooMuch | Unavailable):
            response.headers["Connection"] = "close"  # it may come before the body, which the server would read on
        if isinstance(error, Cancelled | NeedsApproval):
            response.headers["X-Should-Retry"] = "false"  # OpenAI's clients repeat what is answered with 409
        return response

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, _error: ClientDisconnect) -> JSONResponse:
        return answer(request, LEFT, Cancelled.code, "the client went away before it had sent its request")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(request, 422, "invalid_request", said(request, error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, Failure):  # the key of a request whose body is not read
            return await failed(request, error.__cause__)
        code = CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
        allowed = ", ".join(taken(request)) if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else ""
        response = answer(request, error.status_code, code, nowhere(request, error, allowed))
        response.headers.update({**(error.headers or {}), **({"Allow": allowed} if allowed else {})})
        return response

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        LOG.error("request %s ended in a bug of ours", request_id(request), exc_info=error)
        return answer(request, 500, "internal", "a bug in the platform; the log has it under this request_id")


def said(request: Request, error: RequestValidationError) -> str:
    """The first faults of a request, or the header without which a body of JSON is not read as one."""
    faults = error.errors()[:5]
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind in UNREAD and any(fault["loc"] == ("body",) and fault["type"] != "missing" for fault in faults):
        return "the body is not read: send it with the header Content-Type: application/json"
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)


def taken(request: Request) -> list[str]:
    """The methods that the path takes: the framework names those of one route, and a path may have several."""
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    return [name for name, scope in scopes.items() if any(one.matches(scope)[0] is Match.FULL for one in routes)]


def nowhere(request: Request, error: HTTPException, allowed: str) -> str:
    """What is wrong with a path or a method in words of ours, where the framework has but the name of the status."""
    path = request.url.path[:SHOWN]
    if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase:
        return f"there is nothing at {path}: GET /openapi.json describes every path"
    if allowed:
        return f"{path} does not take {request.method}: it takes {allowed}"
    return str(error.detail)
