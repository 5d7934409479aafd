"""The files that sparkctl writes, rendered from the Jinja templates of `templates/`."""

from sparkctl.data import path


def render(template: str, **values: object) -> str:
    """The text of a template; a value that it names and that is not given is an error of ours."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(path("templates")),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - exports, fstab and netplan are not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
