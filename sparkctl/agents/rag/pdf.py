"""PDF as passages, one for each page, through pypdf, which follows no link."""

from io import BytesIO

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.rag.decode import clean
from sparkctl.agents.rag.passages import Passage

MOST_PAGES = 2_000


def read_pdf(content: bytes) -> list[Passage]:
    """The text of each page. Raises Refused for what is encrypted, too long, or holds no text.

    Broken files end in whatever pypdf raises: this runs in a process of its own (`reading.py`).
    """
    from pypdf import PdfReader

    if not content.strip():
        raise Refused("the document is empty")
    document = PdfReader(BytesIO(content))
    if document.is_encrypted and not document.decrypt(""):
        raise Refused("the PDF is encrypted: save it without a password")
    if len(document.pages) > MOST_PAGES:
        raise Refused(f"the PDF has {len(document.pages)} pages, more than {MOST_PAGES}")
    pages = (Passage(clean(page.extract_text()), page=number) for number, page in enumerate(document.pages, 1))
    return [page for page in pages if page.text.strip()]
