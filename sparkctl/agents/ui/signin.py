"""Who is signed in: sessions that this process keeps, with the user's key; the browser has only a random name."""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_urlsafe

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

IDLE_SECONDS = 30 * 60.0
LONGEST_SECONDS = 12 * 3600.0
ATTEMPTS_PER_MINUTE = 10
MOST = 1_000
"""Sessions at a time; the one that was idle longest makes room."""


@dataclass
class Login:
    """One browser that showed a valid key. `csrf` is in its forms; times are those of `time.monotonic`."""

    id: str
    key: str = field(repr=False)
    csrf: str = field(repr=False)
    since: float
    seen: float

    def allows(self, shown: str) -> bool:
        """Whether a form is this session's own."""
        return hmac.compare_digest(shown.encode(), self.csrf.encode())


@dataclass
class Logins:
    """All sessions of this process; they end with it, when they were idle, and after their longest time."""

    idle_seconds: float = IDLE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _by_id: dict[str, Login] = field(default_factory=dict, repr=False)

    def open(self, key: str) -> Login:
        """A new session for a key that the gateway knows."""
        now = self.clock()
        login = Login(token_urlsafe(32), key, token_urlsafe(32), now, now)
        for one in [one for one in self._by_id.values() if self._over(one)]:
            self.close(one)
        if len(self._by_id) >= MOST:
            self.close(min(self._by_id.values(), key=lambda one: one.seen))
        self._by_id[login.id] = login
        return login

    def find(self, name: str, *, counts: bool = True) -> Login | None:
        """The session of that name, unless it is over. One that `counts` is not idle: a page that renews itself is."""
        login = self._by_id.get(name)
        if login is None:
            return None
        if self._over(login):
            self.close(login)
            return None
        if counts:
            login.seen = self.clock()
        return login

    def close(self, login: Login) -> None:
        """End it."""
        self._by_id.pop(login.id, None)

    def _over(self, login: Login) -> bool:
        now = self.clock()
        return now - login.seen > self.idle_seconds or now - login.since > LONGEST_SECONDS


class Attempts:
    """Sign-ins that failed, by address: so many in a minute, and no more."""

    def __init__(self, per_minute: int = ATTEMPTS_PER_MINUTE) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._allowed = RateLimitItemPerMinute(per_minute)

    def exhausted(self, address: str) -> bool:
        """Whether this address has to wait."""
        return not self._limiter.test(self._allowed, address)

    def failed(self, address: str) -> None:
        """Count one."""
        self._limiter.hit(self._allowed, address)
