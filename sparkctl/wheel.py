"""This very sparkctl as a wheel: what the image of the agents is built from, wherever sparkctl itself runs from.

Without its profiles, settings and templates: the programs in the image read none. What somebody wrote there, perhaps a
password, has no business where code of models runs, and is no reason to build the image anew.
"""

import base64
import hashlib
import io
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sparkctl import __version__, data
from sparkctl.errors import SparkctlError

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file knows: equal files give equal bytes."""
_SHIPPED = "wheel"
_DATA = Path(__file__).resolve().parent / "_data"
_KIND = "Wheel-Version: 1.0\nGenerator: sparkctl\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_SCRIPT = "[console_scripts]\nsparkctl = sparkctl.__main__:main\n"


@dataclass(frozen=True)
class Wheel:
    """A wheel: its file name and its bytes."""

    name: str
    content: bytes

    @property
    def key(self) -> str:
        """Twelve hex digits over its bytes."""
        return hashlib.sha256(self.content).hexdigest()[:12]


def own_wheel() -> Wheel:
    """The wheel of the running program: packed from its files, or the one that the single-file binary carries.

    Raises SparkctlError where there is neither.
    """
    shipped = sorted(data.path(_SHIPPED).glob("*.whl"))
    if shipped:
        return Wheel(shipped[0].name, shipped[0].read_bytes())
    metadata = _metadata()
    info = f"sparkctl-{__version__}.dist-info"
    files = dict(_files())
    files |= {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": _KIND.encode()}
    files[f"{info}/entry_points.txt"] = _SCRIPT.encode()
    record = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in sorted(files.items())]
    files[f"{info}/RECORD"] = ("".join(record) + f"{info}/RECORD,,\n").encode()
    return Wheel(f"sparkctl-{__version__}-py3-none-any.whl", _packed(files))


def _metadata() -> str:
    """What pip must know of it: as it was installed, or as the pyproject.toml of its source tree says now."""
    tree = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if tree.is_file() and not _DATA.is_dir():
        project = tomllib.loads(tree.read_text("utf-8"))["project"]
        lines = [
            f"Requires-Python: {project['requires-python']}",
            *map("Requires-Dist: {}".format, project["dependencies"]),
        ]
        for extra, wanted in project["optional-dependencies"].items():
            lines.append(f"Provides-Extra: {extra}")
            lines += [f"Requires-Dist: {one} ; extra == '{extra}'" for one in wanted]
        return "\n".join(("Metadata-Version: 2.3", "Name: sparkctl", f"Version: {__version__}", *lines, ""))
    with suppress(PackageNotFoundError):
        if found := distribution("sparkctl").read_text("METADATA"):
            return found
    what = "this sparkctl does not know what it is made of, so it cannot build the image of the agents"
    raise SparkctlError(what, fix="install sparkctl with pip, or name an image: agents.image in the profile")


def _files() -> Iterator[tuple[str, bytes]]:
    """Every file of the package by its name in the wheel."""
    for path in sorted(_DATA.parent.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and _DATA not in path.parents:
            yield f"sparkctl/{path.relative_to(_DATA.parent).as_posix()}", path.read_bytes()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _packed(files: dict[str, bytes]) -> bytes:
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()
