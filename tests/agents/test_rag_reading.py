"""From bytes to chunks: encodings, formats, places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from library_world import pdf_of

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.rag.chunks import WORD, cut, title_of
from sparkctl.agents.rag.decode import clean, decode
from sparkctl.agents.rag.formats import READERS, format_of, name_of
from sparkctl.agents.rag.markup import read_html, read_markdown
from sparkctl.agents.rag.passages import Passage
from sparkctl.agents.rag.pdf import read_pdf
from sparkctl.agents.rag.reader import read
from sparkctl.agents.rag.source_code import read_code, read_python


@pytest.mark.parametrize(
    "content",
    [
        "Übergröße – naïve".encode(),
        b"\xef\xbb\xbf" + "Übergröße – naïve".encode(),
        "Übergröße – naïve".encode("utf-16"),
        b"\xfe\xff" + "Übergröße – naïve".encode("utf-16-be"),
        "Übergröße – naïve".encode("utf-32"),
        "Übergröße – naïve".encode("cp1252"),
    ],
)
def test_text_is_read_in_the_encoding_that_it_has(content: bytes) -> None:
    assert decode(content) == "Übergröße – naïve"


def test_a_page_is_read_in_the_encoding_that_it_names() -> None:
    page = '<meta charset="koi8-r"><h1>Привет</h1>'.encode("koi8-r")
    assert read_html(page)[0].text == "Привет"


@pytest.mark.parametrize("charset", [b"no-such-charset", b"hex", b"rot13", b"idna"])
def test_a_charset_that_is_none_does_no_harm(charset: bytes) -> None:
    try:
        found = read_html(b"<meta charset=" + charset + b"><p>caf\xe9</p>")
    except Refused:
        return
    assert found[0].text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"text\0text", "binary"),
        (bytes(range(1, 32)) * 9, "binary"),
        (b"\xff\xfe\x00", "no text"),
        (b"\x81\x8d\x8f\x90", "no text"),
    ],
)
def test_what_is_no_text_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        decode(content)


def test_half_characters_do_not_reach_a_database() -> None:
    assert clean("a\ud800b\0c\r\nd") == "a?bc\nd"


def test_markdown_is_cut_at_its_headings_and_not_within_a_fence() -> None:
    text = b"before\n# A\none\n```sh\n# no heading\n```\n## B #\ntwo\n# C\nthree"
    found = [(one.heading, one.line) for one in read_markdown(text)]
    assert found == [("", 1), ("A", 2), ("A > B", 7), ("C", 9)]


def test_html_is_what_a_reader_sees_with_its_headings() -> None:
    page = (
        b"<html><head><title>Site</title><style>p{}</style></head><body><h1>One</h1>\n<p>some <b>bold</b> text</p>"
        b"<script>alert('unseen')</script><!-- unseen --><img src=http://127.0.0.1:9/unseen><h2>Two &amp; more</h2>"
        b"<ul><li>a<li>b</ul></body></html>"
    )
    found = read_html(page)
    assert [one.heading for one in found] == ["Site", "Site > One", "Site > One > Two & more"]
    assert "some bold text" in found[1].text
    assert not any("unseen" in one.text for one in found)


@pytest.mark.parametrize("page", [b"<" * 5_000, b"<p" * 5_000, b"<div>" * 100_000 + b"x", b"<![CDATA[" * 10_000])
def test_a_hostile_page_is_read_or_refused(page: bytes) -> None:
    assert isinstance(read_html(page), list)


@pytest.mark.parametrize(("heading", "count"), [(b"w" * 200, 8_000), (b"", 100_000)], ids=["long", "empty"])
def test_headings_do_not_make_a_small_page_a_large_one(heading: bytes, count: int) -> None:
    outer = b"".join(b"<h%d>%s</h%d>" % (level, heading, level) for level in range(1, 6))
    with pytest.raises(Refused, match="more than 8000000 characters"):
        read(outer + b"<h6></h6>x" * count, "html")


def test_python_is_cut_at_functions_classes_and_methods() -> None:
    code = b"import os\n\n\n@cache\ndef one():\n    1\n\n\nclass Two:\n    x = 1\n\n    def three(self):\n        1\n"
    found = [(one.heading, one.line) for one in read_python(code)]
    assert found == [("", 1), ("one", 4), ("Two", 9), ("Two.three", 12)]


def test_python_that_does_not_parse_is_code_all_the_same() -> None:
    assert "def broken(" in read_python(b"def broken(:\n  x")[0].text


def test_other_code_is_cut_where_a_block_begins() -> None:
    block = "func f{}() {{\n" + "  x\n" * 45 + "}}\n\n"
    found = read_code("".join(block.format(n) for n in range(3)).replace("}}", "}").encode())
    assert [one.text.splitlines()[0] for one in found] == ["func f0() {", "func f1() {", "func f2() {"]


def test_a_pdf_is_read_by_pages() -> None:
    assert [(one.page, one.text.strip()) for one in read_pdf(pdf_of("First page", "Second page"))] == [
        (1, "First page"),
        (2, "Second page"),
    ]


@given(st.text(max_size=3_000), st.integers(20, 60), st.integers(0, 500))
def test_chunks_hold_every_word_once_at_least_and_no_more_than_asked(text: str, words: int, overlap: int) -> None:
    chunks = cut("a.txt", [Passage(clean(text))], words, overlap)
    wanted = WORD.findall(clean(text))
    assert [one.number for one in chunks] == list(range(len(chunks)))
    assert all(0 < len(WORD.findall(one.text)) <= words for one in chunks)
    step = words - min(overlap, words // 2)
    joined = [word for one in chunks[:-1] for word in WORD.findall(one.text)[:step]]
    assert joined + [word for one in chunks[-1:] for word in WORD.findall(one.text)] == wanted


def test_a_chunk_knows_its_place_by_heading_and_line_or_by_page() -> None:
    long = Passage("\n".join(f"word{n}" for n in range(30)), "Guide > Install", 12)
    assert [one.source for one in cut("guide.md", [long], 20, 5)] == ["guide.md#Install:12", "guide.md#Install:27"]
    assert cut("a.pdf", [Passage("text", page=3)], 20, 0)[0].source == "a.pdf#page=3"
    assert cut("a.txt", [Passage("\n\ntext", line=1)], 20, 0)[0].source == "a.txt:3"
    assert title_of(cut("guide.md", [long], 20, 5)[0]) == "guide.md Guide > Install"


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\report.pdf", "report.pdf"),
        ("a\0b\nc.md", "ab c.md"),
        ("x" * 500 + ".md", "x" * 197 + ".md"),
        ("\u202eevil.md", "evil.md"),
    ],
)
def test_a_name_is_a_label_and_no_path(given_name: str, name: str) -> None:
    assert name_of(given_name) == name


@pytest.mark.parametrize("given_name", ["", "..", "/", "a/", "\n"])
def test_a_document_without_a_name_is_refused(given_name: str) -> None:
    with pytest.raises(Refused, match="name"):
        name_of(given_name)


def test_the_format_is_known_by_the_ending_before_what_the_sender_says() -> None:
    assert format_of("A.MD", "application/pdf") == "markdown"
    assert format_of("Makefile", "") == "code"
    assert format_of("notes", "text/plain; charset=utf-8") == "text"
    for name, declared in (("a.exe", "text/plain"), ("a.docx", ""), ("noending", "application/octet-stream")):
        with pytest.raises(Refused, match="cannot be read"):
            format_of(name, declared)
    assert {"text", "markdown", "html", "pdf", "python", "code"} == READERS.keys()
