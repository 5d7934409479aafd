"""The files that sparkctl writes, rendered from the Jinja templates of `templates/`."""

from typing import TYPE_CHECKING

from sparkctl.data import path

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """The text of a template; a value that it names and that is not given is an error of ours."""
    return _environment(escaping=False).get_template(template).render(**values)


def render_html(template: str, **values: object) -> str:
    """The same for a page: whatever a value holds is text."""
    return _environment(escaping=True).get_template(template).render(**values)


def _environment(*, escaping: bool) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(path("templates")),
        undefined=StrictUndefined,
        autoescape=escaping,  # noqa: S701 - exports, fstab and netplan are not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
