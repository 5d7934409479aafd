"""Finding by words: BM25 of SQLite's FTS5, over few rows however common the words of a question are."""

import re
from sqlite3 import Connection

SCHEMA = """
CREATE VIRTUAL TABLE words USING fts5(
    title, text, content='chunks', content_rowid='id', tokenize="porter unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE counts USING fts5vocab(words, row);
"""
ASKED = """
CREATE VIRTUAL TABLE temp.asked USING fts5(word, tokenize="porter unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE temp.stems USING fts5vocab(temp, asked, instance);
"""
TITLE_WEIGHT = 2.0
"""A word in the name or a heading counts so many times one in the text."""
MOST_WORDS = 200
"""Of a question; the rest is not read."""
MOST_TERMS = 12
"""Terms of one search: the rarest of the question."""
MOST_ROWS = 10_000
"""Chunks that BM25 looks at, in sum over the terms: this, not the number of chunks, bounds the time of a search."""
ENGLISH = """
a about above after again against all also am an and any are as at be because been before being below between both but
by can could did do does doing down during each few for from further get give given had has have having he her here
hers him his how i if in into is it its itself just let like make me more most my myself no nor not now of off on once
only or other our ours out over own please s same she should so some such t tell than that the their theirs them then
there these they this those through to too under until up very want was we were what when where which while who whom
why will with would you your yours
"""
STOP_WORDS = frozenset(ENGLISH.split())
"""Words of English that say nothing of the subject."""


def find_words(connection: Connection, query: str, limit: int) -> list[int]:
    """Ids of chunks by BM25, best first."""
    terms = _rarest(connection, telling(query))
    if not terms:
        return []
    match = " OR ".join(f'"{word}"' for word in terms)
    rows = connection.execute(
        "SELECT rowid FROM (SELECT rowid, bm25(words, ?, 1.0) AS score FROM words WHERE words MATCH ? LIMIT ?)"
        " ORDER BY score, rowid LIMIT ?",
        (TITLE_WEIGHT, match, MOST_ROWS, limit),
    )
    return [row[0] for row in rows]


def telling(query: str) -> list[str]:
    """The words of a question, each once, without stop words where there are others."""
    words = list(dict.fromkeys(re.findall(r"\w+", query.lower())))[:MOST_WORDS]
    return [word for word in words if word not in STOP_WORDS] or words


def _rarest(connection: Connection, words: list[str]) -> list[str]:
    """The words of the question that are in few chunks, as long as those are few enough; at least one."""
    chosen: list[str] = []
    rows = 0
    for found, word in sorted(_counted(connection, words)):
        if chosen and (rows + found > MOST_ROWS or len(chosen) == MOST_TERMS):
            break
        chosen.append(word)
        rows += found
    return chosen


def _counted(connection: Connection, words: list[str]) -> list[tuple[int, str]]:
    """How many chunks have each word; those that none has are left out, and the second of two with one stem.

    The tokenizer cannot be called from here: it is asked by indexing the question.
    """
    connection.executescript(ASKED)
    connection.executemany("INSERT INTO temp.asked(rowid, word) VALUES (?, ?)", enumerate(words))
    stems = connection.execute("SELECT term, min(doc) FROM temp.stems GROUP BY term").fetchall()
    counted = [
        (row[0], words[number])
        for term, number in stems
        if (row := connection.execute("SELECT doc FROM counts WHERE term = ?", (term,)).fetchone())
    ]
    connection.executescript("DROP TABLE temp.stems; DROP TABLE temp.asked")
    return counted
