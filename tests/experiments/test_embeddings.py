"""Heads on frozen embeddings: what a seed trains on and is tested on, the heads, and the script."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.core import loop
from experiments.core.methods import Method
from experiments.data import embeddings
from experiments.data.sentences import CORPORA
from experiments.embeddings import __main__ as study
from experiments.embeddings import train
from experiments.embeddings.train import Kind, Sizes
from experiments.harness.choose import FIRST_SEED, Choice
from tests import pages
from tests.experiments import pinned

MOVIES, TREC = CORPORA.values()


def test_results_train_on_all_and_test_on_the_test_part():
    for title, corpus in embeddings.toy().items():
        data = train.draw(corpus, [0, 1], 0.4, held_out=False)
        assert data.x.shape == (2, 300, 8) and data.x_test.shape == (2, 100, 8), title
        np.testing.assert_array_equal(data.y_test, [corpus.y_test] * 2)
        np.testing.assert_allclose(data.x.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(data.x.std(1), 1, atol=1e-4)
        shift, scale = corpus.x.mean(0), corpus.x.std(0)
        np.testing.assert_allclose(data.x_test[0], (corpus.x_test - shift) / scale, atol=1e-3)
        # Each seed has wrong labels of its own; a replaced one may be the true one again.
        np.testing.assert_array_equal(data.wrong, data.y != corpus.y)
        classes = corpus.y.max() + 1
        assert np.abs(data.wrong.mean(1) - 0.4 * (1 - 1 / classes)).max() < 0.1
        assert (data.wrong[0] != data.wrong[1]).any()
        assert not train.draw(corpus, [0], 0.0, held_out=False).wrong.any()


def test_candidates_are_chosen_on_other_sentences_with_right_labels():
    corpora = embeddings.toy()
    movies = corpora[MOVIES]
    data = train.draw(movies, [FIRST_SEED], 0.4, held_out=True)
    assert data.x.shape == (1, 300, 8)
    np.testing.assert_array_equal(data.y_test[0], movies.y_held)
    trec = corpora[TREC]
    numbered = trec._replace(x=np.stack([np.arange(300.0), trec.y], axis=1).astype(np.float32))
    numbered = numbered._replace(x_test=numbered.x[:1])
    data = train.draw(numbered, [FIRST_SEED, FIRST_SEED + 1], 0.4, held_out=True)
    assert data.x.shape == (2, 270, 2) and data.x_test.shape == (2, 30, 2)
    held = []
    for seed in range(2):
        both = np.concatenate([data.x[seed], data.x_test[seed]])
        ids = both[:, 0].argsort().argsort()  # the order is kept by the scale
        assert sorted(ids) == list(range(300))  # no sentence twice, none left out
        held.append(set(ids[270:]))
        np.testing.assert_array_equal(data.y_test[seed], trec.y[ids[270:]])  # true labels
        np.testing.assert_array_equal(data.wrong[seed], data.y[seed] != trec.y[ids[:270]])
    assert held[0] != held[1]


def test_readme_block():
    draw = np.random.default_rng(0)
    vectors, weights = draw.normal(2, 3, (4, 5)), draw.normal(size=(5, 3))
    given = {"embeddings": vectors, "center": np.full(5, 2), "spread": np.full(5, 3)}
    given = {n: jnp.asarray(v) for n, v in (given | {"labels": np.array([0, 2, 1, 0])}).items()}
    names = pages.run(pages.block("head(jm"), key=jax.random.key(0), **given)
    lam, partner = float(names["mix"].lam[0]), jm.take_partner(names["mix"], jnp.arange(4))
    x = (vectors - 2) / 3
    logits = (lam * x + (1 - lam) * x[partner]) @ weights
    expected = -jax.nn.log_softmax(logits)
    own, other = given["labels"], given["labels"][partner]
    rows = np.arange(4)
    expected = lam * expected[rows, own] + (1 - lam) * expected[rows, other]
    np.testing.assert_allclose(names["loss_fn"](lambda x: x @ weights), expected.mean(), rtol=1e-4)


def test_a_linear_head_is_one_product():
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    head = train.Linear(4, 3, rngs=nnx.Rngs(0))
    expected = x @ np.asarray(head.last.kernel[...]) + np.asarray(head.last.bias[...])
    np.testing.assert_allclose(head(jnp.asarray(x), train=True), expected, rtol=1e-5)


def test_candidates_differ_from_plain_in_what_their_name_says():
    off = Method()
    for method, candidates in study.METHODS.items():
        assert len(candidates) == (1 if method in ("plain", "mixup α=8") else 4)
        for name, (kind, numbers) in candidates.items():
            changed = {n for n in Method._fields if getattr(numbers, n) != getattr(off, n)}
            field = {
                "weight decay": "weight_decay",
                "label smoothing": "smoothing",
                "dropout": "dropout",
                "mixup": "alpha",
                "mixup α=8": "alpha",
            }.get(method)
            expected = {"plain": set(), "linear head": changed & {"weight_decay"}}
            assert changed == expected.get(method, {field}), name
            assert kind == Kind(linear=method == "linear head", dropout=method == "dropout")
            assert method == "plain" or f"{max(numbers[:-1]):g}" in name


@pytest.mark.slow
def test_heads_learn_and_mixing_keeps_from_memorising():
    corpus = embeddings.toy()[TREC]
    data, sizes = train.draw(corpus, [0, 1], 0.4, held_out=False), Sizes(8, 64, 3, 50)
    missed = {}
    for name, (kind, method) in {
        "plain": (Kind(), Method()),
        "linear": (Kind(linear=True), Method()),
        "dropout": (Kind(dropout=True), Method(dropout=0.7)),
        "mixup": (Kind(), Method(alpha=8.0)),
    }.items():
        trainer = train.trainer_of(kind, sizes)
        options = {"seeds": [0, 1], "epochs": 60, "tick": lambda n: None}
        state, scores = trainer.fit(method, data, **options)
        wrong = trainer.apply(method, state, data.x).argmax(-1) != data.y
        missed[name] = float((wrong & data.wrong).sum() / data.wrong.sum())
        assert scores["error"].min() < 0.4, name
    assert missed["plain"] < min(missed["linear"], missed["dropout"], missed["mixup"])


@pytest.mark.slow
def test_smoke(tmp_path):
    assert study.main(study.Config(smoke=True, out=tmp_path)) == 0
    out = tmp_path / "smoke"
    pinned.check("embeddings", out)
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    tried = [json.loads(line) for line in (out / "choose.jsonl").read_text().splitlines()]
    assert len(runs) == 2 * 2 * len(study.METHODS) and {run["seed"] for run in runs} == {0, 1}
    assert {run["seed"] for run in tried} == {FIRST_SEED, FIRST_SEED + 1}
    for run in runs:
        assert run["chosen"] in study.METHODS[run["method"]] and 1 <= run["stop"] <= 2
        assert run["stopped_error"] == pytest.approx(run["curve"][run["stop"] - 1], abs=0.01)
        assert run["train_wrong"] > 0 and run["hits"].startswith("100:")
    mean = {}
    for run in tried:
        mean.setdefault((run["group"], run["method"]), []).append(run["curve"][-1])
    for run in runs:
        names = study.METHODS[run["method"]]
        best = min(np.mean(mean[run["group"], name]) for name in names)
        assert run["chosen_error"] == pytest.approx(best)
    assert (out / "plot.png").stat().st_size > 10_000


def test_missing_data_stop_with_one_sentence(tmp_path):
    with pytest.raises(loop.Stop, match="--data is missing: name the"):
        study.main(study.Config(out=tmp_path))
    with pytest.raises(loop.Stop, match=r"none\.npz.*no file: .*fetch sentence_embeddings`"):
        study.main(study.Config(out=tmp_path, data=tmp_path / "none.npz"))


def test_only_what_was_chosen_is_told():
    assert study.said(("a", "plain"), Choice("plain", 0)) == ""
    assert study.said(("a", "mixup"), Choice("mixup α=8", 0)) == "a: mixup α=8"


def test_verdict():
    """Two corpora; plain errs on `memorised` % of its wrong labels."""

    def runs(memorised, plain, dropout, mixup):
        errors = {"plain": plain, "dropout": dropout, "mixup": mixup}
        return [
            {"group": group, "method": method, "seed": seed, "train_wrong": memorised}
            | {"last_error": error + seed + 0.1 * (seed % 2) * len(method)}
            for group in study.NOISY
            for method, error in errors.items()
            for seed in range(4)
        ]

    assert study.RULE(runs(5, 30, 25, 24)).endswith("PASS.")
    assert study.RULE(runs(5, 30, 24, 24)).endswith("PASS.")  # not worse than dropout
    assert study.RULE(runs(5, 30, 22, 24)).endswith("FAIL.")
    assert study.RULE(runs(5, 24, 24, 24)).endswith("FAIL.")  # no gain over plain training
    assert "no verdict" in study.RULE(runs(40, 30, 25, 24))
    names = {study.group_name(title, noise) for title in CORPORA.values() for noise in study.NOISE}
    assert set(study.NOISY) < names and "TREC questions, 40 % noise" in study.NOISY
