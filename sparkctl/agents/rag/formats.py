"""Which documents can be read: by the ending of their names, or by what their sender calls them."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.rag.decode import clean
from sparkctl.agents.rag.markup import read_html, read_markdown, read_text
from sparkctl.agents.rag.passages import Passage
from sparkctl.agents.rag.pdf import read_pdf
from sparkctl.agents.rag.source_code import read_code, read_python

READERS: dict[str, Callable[[bytes], list[Passage]]] = {
    "text": read_text,
    "markdown": read_markdown,
    "html": read_html,
    "pdf": read_pdf,
    "python": read_python,
    "code": read_code,
}
ENDINGS = {
    "text": "txt text log rst adoc tex csv tsv srt",
    "markdown": "md markdown mdown",
    "html": "html htm xhtml",
    "pdf": "pdf",
    "python": "py pyi",
    "code": "c h cc cpp hpp cs go java js jsx kt lua m mjs php pl proto r rb rs scala sh bash sql swift ts tsx zig "
    "cu css ini cfg conf env json jsonl toml xml yaml yml dockerfile makefile cmake",
}
FORMATS = {ending: name for name, endings in ENDINGS.items() for ending in endings.split()}
"""The reader of each ending; a name without one is looked up whole."""
DECLARED = {"text/markdown": "markdown", "text/html": "html", "application/pdf": "pdf", "text/x-python": "python"}
MOST_NAME = 200


def name_of(given: str) -> str:
    """A document's name: no folders, nothing that does not print, 200 characters at most. Raises Refused.

    It is a label, never a path: documents are kept by id.
    """
    last = re.split(r"[/\\]", clean(given))[-1]
    name = " ".join("".join(one if one.isprintable() else " " for one in last).split())[-MOST_NAME:].strip()
    if name in ("", ".", ".."):
        raise Refused("the document has no name: send it as a file with one")
    return name


def format_of(name: str, declared: str) -> str:
    """The reader for a document of that name and Content-Type. Raises Refused where there is none."""
    path = PurePosixPath(name.lower())
    found = FORMATS.get(path.suffix[1:] or path.name)
    kind = declared.split(";")[0].strip().lower()
    if not found and not path.suffix:
        found = DECLARED.get(kind) or ("text" if kind.startswith("text/") else None)
    if not found:
        raise Refused(f"documents like {name} cannot be read: text, Markdown, HTML, PDF and source code can")
    return found
