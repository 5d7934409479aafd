"""The pages: links lead somewhere, commands can be typed, variables exist."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import dropwhile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from bench import page
from typer._click.core import Command, Context
from typer._click.exceptions import UsageError
from typer.core import TyperGroup

from sparkctl.cli.app import app
from sparkctl.config.inert import INERT
from sparkctl.config.load import NAMES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=IDS)


@EACH_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@EACH_PAGE
def test_commands_can_be_typed(page: Path) -> None:
    for words in commands(page.read_text()):
        try:
            left = parse(words)
        except UsageError as error:
            pytest.fail(f"{page.name}: sparkctl {shlex.join(words)}: {error.format_message()}")
        assert not left, f"{page.name}: sparkctl {shlex.join(words)}: {left} is left over"


@EACH_PAGE
def test_variables_exist(page: Path) -> None:
    assert not unknown_variables(page.read_text())


def test_a_wrong_variable_is_found() -> None:
    assert unknown_variables("VLLM_PORT, VLLM_PROT and OPENAI_BASE_URL") == {"VLLM_PROT"}


def test_figures_are_replaced_part_by_part() -> None:
    text = page.PAGE.read_text()
    both = page.replace(page.replace(text, "many", "| new |"), "startup", "")
    assert "| new |\n\n<!-- end many -->" in both and "⇥` |" not in both
    tables = re.compile(r"<!-- begin (startup|many) -->.*?<!-- end \1 -->", re.S)
    assert tables.sub("", both) == tables.sub("", text) and "Ansible against" in both
    with pytest.raises(ValueError, match="begin none"):
        page.replace(text, "none", "")


def test_a_wrong_command_is_found() -> None:
    assert parse(["up", "--set", "A=B", "-y"]) == []
    assert parse(["stop", "now"]) == ["now"]
    for wrong in (["upp"], ["up", "--dry"], ["lab", "upp"], ["plan", "--set"]):
        with pytest.raises(UsageError):
            parse(wrong)
    text = "```console\n$ A=b sparkctl up --set C=d -p <x>  # why\nsparkctl down\n```\n"
    text += "`sparkctl ssh a -- b -c` and $(sparkctl plan)\n"
    assert sorted(commands(text)) == [["plan"], ["ssh", "a", "--", "b", "-c"], ["up", "--set", "C=d", "-p", "x"]]


def test_pictures_are_well_formed() -> None:
    pictures = list(ROOT.glob("docs/images/*.svg"))
    assert pictures
    for picture in pictures:
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def unknown_variables(text: str) -> set[str]:
    """The variables that a text names and no program of ours reads or sets; a message may show such a one."""
    named = set(re.findall(r"(?<![\w.-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w*]|: unknown variable)", text))
    return named - NAMES - INERT.keys() - words_of_the_source()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[list[str]]:
    """The words after `sparkctl` of every command: in fences behind a prompt, in code spans, in `$(…)`."""
    typed = [line for fence in FENCE.findall(text) for line in re.findall(r"^\s*\$ (.*)", fence[2], re.M)]
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text))
    inner = re.findall(r"\$\((sparkctl [^)]*)\)", text)
    for line in (*typed, *spans, *inner):
        words = [*dropwhile(re.compile(r"\w+=").match, split(re.sub(r"<(\w+)>", r"\1", line)))]
        if words and Path(words[0]).name == "sparkctl" and "/sparkctl/" not in words[0]:
            yield words[1:]


def split(line: str) -> list[str]:
    """The words of the first command of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    return words[: next((i for i, word in enumerate(words) if set(word) <= set("|&;<>()")), len(words))]


def parse(words: list[str]) -> list[str]:
    """What no command, option or argument takes of a command line. Raises UsageError; no value is looked at."""
    command: Command = typer.main.get_command(app)
    context = Context(command, info_name="sparkctl")
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found
        command, context = found, Context(found, info_name=name, parent=context, **found.context_settings)
    _, left, _ = command.make_parser(context).parse_args(list(words))
    return left


@cache
def words_of_the_source() -> frozenset[str]:
    """Every word in capitals of our own programs: variables of others that they set or read. Tests misspell some."""
    shell = [ROOT / "Makefile", *(ROOT / "tests").glob("*.sh")]
    places = [*shell, *(ROOT / "sparkctl").rglob("*.py"), ROOT / "tests/lab/conftest.py"]
    return frozenset(w for p in places for w in re.findall(r"\b[A-Z][A-Z0-9_]+\b", p.read_text()))
