"""The JSON Schemas of profiles and settings."""

from typing import Any

from sparkctl.config.profile import Profile
from sparkctl.config.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def profile_schema() -> dict[str, Any]:
    """The JSON Schema of a profile file."""
    return {"$schema": DIALECT, "title": "sparkctl profile", **_untitled(Profile.model_json_schema())}


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of the variables of unified-config.env; `accepts`, `group` and `unit` are ours."""
    made = _untitled(Settings.model_json_schema())
    variables = {name.upper(): field for name, field in made["properties"].items()}
    return {"$schema": DIALECT, "title": "sparkctl settings", **made, "properties": variables}


def _untitled(schema: Any) -> Any:
    """The schema without the titles that pydantic makes up from names."""
    if isinstance(schema, dict):
        return {key: _untitled(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    return [_untitled(item) for item in schema] if isinstance(schema, list) else schema
