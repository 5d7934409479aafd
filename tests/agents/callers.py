"""Who asks the gateway in the tests: keys that it makes, and how they are shown."""

from typing import Any

from agent_world import World

SECRET = "the-secret-of-the-tests-that-signs-tokens"


def bearer(key: str) -> dict[str, str]:
    """The header that shows it."""
    return {"Authorization": f"Bearer {key}"}


def made(gateway: World, user: str = "anna", **more: Any) -> dict[str, Any]:
    """A new key, as the API answers."""
    response = gateway.client.post("/keys", json={"user": user, **more})
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def status(gateway: World, path: str, key: str) -> int:
    """What a GET with that key is answered."""
    return gateway.client.get(path, headers=bearer(key)).status_code
