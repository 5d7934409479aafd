"""What a model wrote, as HTML that is safe to show: Markdown without raw HTML, sanitised once more, no images."""

import re
from collections.abc import Iterator, Mapping

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
LINKS = {"http", "https", "mailto"}
SHIFT = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
"""A heading of an answer stands below those of its page."""


MARK = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
"""Numbers of citations, as the RAG agent is told to write them: [1], [1, 3]."""


def rendered(text: str, places: Mapping[int, str] | None = None) -> Markup:
    """Markdown as HTML. Tags, attributes and links that it does not know are text or gone, whatever the text says.

    An image would ask a server for its bytes once it is shown, with what the model put into its address: none is.
    `places` are addresses of citations by number: where the text names one of them, it becomes a link.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        token.tag = SHIFT.get(token.tag, token.tag)
        token.children = [piece for child in token.children or () for piece in _linked(child, places or {})]
    html = parser.renderer.render(tokens, parser.options, {})
    return Markup(  # noqa: S704 - cleaned here
        nh3.clean(
            html,
            tags=TAGS,
            attributes={"a": {"href", "title"}},
            url_schemes=LINKS,
            link_rel="noopener noreferrer nofollow",
        )
    )


def _linked(token: Token, places: Mapping[int, str]) -> Iterator[Token]:
    """The token, or its text in pieces with links between them."""
    if token.type != "text" or not places:
        yield token
        return
    end = 0
    for mark in MARK.finditer(token.content):
        yield _text(token.content[end : mark.start()])
        for number in mark[1].split(","):
            yield from _link(int(number), places)
        end = mark.end()
    yield _text(token.content[end:])


def _link(number: int, places: Mapping[int, str]) -> Iterator[Token]:
    if number not in places:
        yield _text(f"[{number}]")
        return
    yield Token("link_open", "a", 1, attrs={"href": places[number]})
    yield _text(f"[{number}]")
    yield Token("link_close", "a", -1)


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
