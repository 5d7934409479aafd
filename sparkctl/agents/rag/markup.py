"""Plain text, Markdown and HTML as passages. Nothing is fetched that a page names."""

import re
from html.parser import HTMLParser

from sparkctl.agents.rag.decode import decode
from sparkctl.agents.rag.passages import Outline, Passage, stretches

FENCE = re.compile(r" {0,3}(```+|~~~+)")
HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
UNSEEN = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object"})
INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "img", "kbd", "mark", "q", "s", "small", "span"}
    | {"strong", "sub", "sup", "tt", "u", "var", "wbr"}
)


def read_text(content: bytes) -> list[Passage]:
    """One passage; chunks know their own lines."""
    return [Passage(decode(content))]


def read_markdown(content: bytes) -> list[Passage]:
    """A passage for each heading; what looks like one within a fence of code is none."""
    lines, outline, fence = decode(content).split("\n"), Outline(), ""
    starts: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if found := FENCE.match(line):
            fence = _fence_after(fence, found[1])
        elif not fence and (heading := HEADING.match(line)):
            outline.enter(len(heading[1]), heading[2])
            starts.append((number, outline.heading))
    return stretches(lines, starts)


def _fence_after(fence: str, marks: str) -> str:
    if not fence:
        return marks
    return "" if marks.startswith(fence) else fence


def read_html(content: bytes) -> list[Passage]:
    """A passage for each heading, of the text that a reader of the page would see."""
    page = Page()
    page.feed(decode(content, page=True))
    page.close()
    page.end_passage()
    return page.passages


class Page(HTMLParser):
    """The visible text of a page, with its headings."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.passages: list[Passage] = []
        self._outline, self._words, self._title = Outline(), list[str](), list[str]()
        self._unseen = self._heading = ""
        self._line = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A heading begins a passage; another block begins a line."""
        if self._unseen:
            return
        if tag in UNSEEN:
            self._unseen = tag
        elif re.fullmatch(r"h[1-6]|title", tag):
            self.end_passage()
            self._heading, self._title = tag, []
        elif tag not in INLINE:
            self._words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """The end of a heading names what follows."""
        if tag == self._unseen:
            self._unseen = ""
        elif tag == self._heading:
            self._outline.enter(0 if tag == "title" else int(tag[1]), "".join(self._title))
            self._heading = ""
            self._words.append("".join(self._title) + "\n")
        elif not self._unseen and tag not in INLINE:
            self._words.append("\n")

    def handle_data(self, data: str) -> None:
        """Text, in a heading or under one."""
        if self._unseen:
            return
        if not "".join(self._words).strip():
            self._line = self.getpos()[0]
        (self._title if self._heading else self._words).append(data)

    def end_passage(self) -> None:
        """Keep what was read since the last heading."""
        lines = (" ".join(line.split()) for line in "".join(self._words).split("\n"))
        text = "\n".join(line for line in lines if line)
        if text:
            self.passages.append(Passage(text, self._outline.heading, self._line))
        self._words = []
        self._line = self.getpos()[0]
