"""Where the data files are: templates, profiles, the shipped unified-config.env."""

from pathlib import Path

DEFAULT_PROFILE = "stacked"
"""The profile that is meant where none is named."""

_HERE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """The data file or folder of that name: packaged in a wheel or a binary, else in the repository."""
    packaged = _HERE / "_data"
    return (packaged if packaged.is_dir() else _HERE.parent) / name


def template(name: str) -> str:
    """The text of a file under `templates/`."""
    return path(f"templates/{name}").read_text(encoding="utf-8")


def node_program(name: str) -> str:
    """The source of a program of `sparkctl/node/`, to be sent to a node."""
    from importlib import resources

    return resources.files("sparkctl.node").joinpath(f"{name}.py").read_text(encoding="utf-8")
