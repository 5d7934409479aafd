"""What can go wrong in the platform, each with a code for programs, a status for HTTP, and a sentence for people."""


class Failure(Exception):
    """The root: `code` and `status` are of the class, `message` is for the user and never holds a secret.

    Failure ── Unknown ── Refused ── Unauthorized ── Forbidden ── Busy ── Cancelled ── TooMuch ── TooLarge
                                                                  └ NeedsApproval
            ── EngineFailed ── OutOfLimits ── Unavailable
    """

    code = "internal"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unknown(Failure):
    """No such agent, session, document, run, model; or it is another user's, which looks the same."""

    code, status = "not_found", 404


class Refused(Failure):
    """A request that cannot be done as it is written."""

    code, status = "bad_request", 400


class Unauthorized(Failure):
    """No valid key or token."""

    code, status = "unauthorized", 401


class Forbidden(Failure):
    """A key that does not allow this."""

    code, status = "forbidden", 403


class Busy(Failure):
    """Another run has this session, or the run is not waiting."""

    code, status = "busy", 409


class NeedsApproval(Busy):
    """The run waits for a human, whom no repetition of the request replaces."""


class Cancelled(Failure):
    """The run was cancelled, or its process was told to end."""

    code, status = "cancelled", 409


class TooMuch(Failure):
    """A rate or a quota is used up; it is given back after `retry_after` seconds."""

    code, status = "rate_limited", 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooLarge(Failure):
    """A body, a document or an image above its limit."""

    code, status = "too_large", 413


class EngineFailed(Failure):
    """The model's engine did not answer, or stopped in the middle."""

    code, status = "engine_failed", 502


class OutOfLimits(Failure):
    """A run took too many turns, too long, or too many tokens."""

    code, status = "run_limit", 422


class Unavailable(Failure):
    """Something that the platform stands on is away: database, index, sandbox."""

    code, status = "unavailable", 503


def failure_of(code: str, message: str) -> Failure:
    """The failure that a run's last event tells of, as if it had been raised before the run began."""
    kinds: list[type[Failure]] = [Unknown, Refused, Forbidden, Busy, Cancelled, TooLarge, OutOfLimits, Unavailable]
    return next((kind for kind in kinds if kind.code == code), EngineFailed)(message)
