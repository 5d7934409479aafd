"""The scorer of retrieval, on rankings worked out by hand, and its questions."""

import math
from pathlib import Path

import numpy as np
import pytest

from sparkctl.agents.eval.retrieval import ranking, retrieval_report
from sparkctl.agents.eval.retrieval_corpus import Corpus, read_corpus, read_questions
from sparkctl.agents.eval.retrieval_lsa import learn
from sparkctl.agents.eval.retrieval_scores import bootstrap, ndcg, recall, reciprocal_rank

DOCS = Path(__file__).parents[2] / "docs"
RELEVANT = {"a": 2, "b": 1}


def test_recall_counts_relevant_documents_among_five() -> None:
    assert recall(["x", "a", "y", "z", "w", "b"], RELEVANT) == 0.5
    assert recall(list("vwxyz"), RELEVANT) == 0
    assert recall(list("abcde"), dict.fromkeys("abcdefgh", 1)) == 1


def test_the_reciprocal_rank_is_that_of_the_first() -> None:
    assert reciprocal_rank(["x", "b", "a"], RELEVANT) == 1 / 2
    assert reciprocal_rank([*"0123456789", "a"], RELEVANT) == 0


def test_the_gain_falls_with_the_rank_and_rises_with_the_grade() -> None:
    best = 3 + 1 / math.log2(3)
    assert ndcg(["a", "b"], RELEVANT) == 1
    assert ndcg(["b", "a"], RELEVANT) == pytest.approx((1 + 3 / math.log2(3)) / best)
    assert ndcg(["x"], RELEVANT) == 0


def test_an_interval_holds_its_mean_and_is_the_same_each_time() -> None:
    made = bootstrap([0.0, 1.0] * 30)
    assert made == bootstrap([0.0, 1.0] * 30)
    assert 0.3 < made.low < made.mean == 0.5 < made.high < 0.7
    assert bootstrap([0.25] * 9) == type(made)(0.25, 0.25, 0.25)


def test_documents_are_ranked_by_their_first_chunk() -> None:
    assert ranking(Corpus((), ("a", "b", "a", "c")), [2, 1, 0, 3]) == ["a", "b", "c"]


def test_every_question_is_answered_by_documents_of_the_corpus() -> None:
    questions, there = read_questions(), {*read_corpus(DOCS).documents}
    assert len(questions) >= 100
    assert len({one.text for one in questions}) == len(questions)
    assert [one.text for one in questions if not one.relevant.keys() <= there] == []
    assert {grade for one in questions for grade in one.relevant.values()} == {1, 2}


def test_lsa_finds_words_that_stand_with_those_asked_for() -> None:
    texts = ["ship sea sailor", "ship harbour sea", "tree forest leaf", "forest leaf branch", "sailor harbour"]
    made = learn(texts, 2)
    near = made(texts) @ made(["ship"])[0]
    assert min(near[[0, 1, 4]]) > max(near[[2, 3]])
    assert not np.any(made(["unknown"]))


def test_every_search_is_better_than_chance() -> None:
    report = retrieval_report()
    assert {one.ranker.partition(" ")[0] for one in report.lines} == {"words", "dense", "hybrid"}
    assert all(one.recall.low > 5 / report.documents for one in report.lines)
    assert str(report).count("\n") == 6
