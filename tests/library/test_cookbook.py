"""Each recipe of COOKBOOK.md runs; those whose authors' code is not public, by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.catalogue import RECIPES as ROWS
from tests.library.cookbook import RECIPES, TEXT, cooked

KEY = jax.random.key(3)
B = 8


@pytest.fixture(autouse=True)
def plain_promotion():
    """Readers do not run under this suite's strict rules."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def given():
    """What the recipes take as given."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    whole = lambda most, *shape: jnp.asarray(rng.integers(0, most, shape))
    few, head = normal(3, 10), normal(3, 10)
    matrices = normal(B, 4, 9)
    sizes = 1 + jnp.arange(B)[:, None] % 5
    words = jnp.where(jnp.arange(5) < sizes, 1 + whole(5, B, 5), 0)
    return {
        "key": KEY,
        **{name: normal(B, 8, 8, 3) for name in ("images", "images2", "outliers", "low")},
        **{name: normal(B, 6, 6, 6, 3) for name in ("volumes", "volumes2")},
        **{name: whole(10, B, 6, 6, 6) for name in ("known", "guessed")},
        "labels": whole(10, B),
        "ids": whole(10, B, 8, 8),
        "objects": whole(2, B, 8, 8) > 0,
        "depth": normal(B, 8, 8),
        "model": lambda x: x.mean((1, 2)) @ few,
        "segment": lambda x: x @ few,
        "teacher": lambda x: 3 * x @ few,
        "table": normal(B, 7),
        "information": jnp.arange(7.0),
        "nodes": normal(B, 5, 3),
        "edges": jnp.abs(normal(B, 5, 5)),
        "spd": matrices @ jnp.swapaxes(matrices, 1, 2),
        "hidden": normal(B, 5, 3),
        "words": words,
        "scored": words > 0,
        "confidence": normal(B),
        "head": lambda h: h @ head,
        "source": words,
        "target": words[::-1],
        "table_of_words": normal(6, 3),
        "table_of_places": normal(5, 3),
        "translate": lambda x, y, read: (y + (read[..., None] * x).mean(1, keepdims=True)) @ head,
        "spectra": normal(B, 12, 3),
        "heard": jnp.asarray(jnp.arange(12) < 11 + 0 * sizes, jnp.float32),
        "recognise": lambda x: x @ head,
        "latents": normal(B, 4, 4, 3),
        "denoise": lambda z, c: z * (1.0 if c is None else c[:, None, None, None]),
    }


GIVES = {"loss": 0, "soft": 2, "noise": 4, "inputs": 4, "pasted": 4, "mixed": 3}


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_runs_as_it_stands(title):
    names = vars(cooked(title, **given()))
    found = {name: names[name] for name in GIVES if name in names}
    assert found
    for name, x in found.items():
        assert np.isfinite(x).all() and (name == "mixed" or np.ndim(x) == GIVES[name]), name
        if name == "loss":
            assert x > 0
        if name == "soft":
            np.testing.assert_allclose(x.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("title", [title for title in RECIPES if "loss = " in RECIPES[title]])
def test_a_recipe_is_one_program(title):
    """Arrays come in traced; what is no array is given."""
    names = given()
    arrays = {name: x for name, x in names.items() if isinstance(x, jax.Array)}
    loss = jax.jit(lambda arrays: cooked(title, **(names | arrays)).loss)(arrays)
    np.testing.assert_allclose(loss, cooked(title, **names).loss, rtol=1e-4)


def test_sftmix_by_numpy():
    names = given()
    found = cooked("Fine-tuning a language model", **names)
    sure = np.asarray(names["confidence"]) >= np.median(names["confidence"])
    partner, lam = np.asarray(found.mix.partner), np.asarray(found.mix.lam, np.float64)
    assert (sure[partner] != sure).all() and len(set(lam.tolist())) == B
    hidden, words, scored = (np.asarray(names[k]) for k in ("hidden", "words", "scored"))

    def likelihood(h, words):
        logits = np.asarray(names["head"](h), np.float64)
        return logits[np.arange(5), words] - np.log(np.exp(logits).sum(1))

    own, mixed, counts = 0.0, 0.0, np.zeros(2)
    for i, p in enumerate(partner):
        own -= (scored[i] * likelihood(hidden[i], words[i])).sum()
        both = scored[i] & scored[p]
        h = lam[i] * hidden[i] + (1 - lam[i]) * hidden[p]
        each = lam[i] * likelihood(h, words[i]) + (1 - lam[i]) * likelihood(h, words[p])
        mixed -= (both * each).sum()
        counts += scored[i].sum(), both.sum()
    np.testing.assert_allclose(found.loss, own / counts[0] + 0.2 * mixed / counts[1], rtol=1e-5)


def test_ifmixup_by_numpy():
    """A small graph is padded: where the other has nodes alone, these have its weight."""
    names = given()
    empty = jnp.arange(5) >= 2 + jnp.arange(B)[:, None] % 4
    nodes = jnp.where(empty[..., None], 0.0, names["nodes"])
    edges = jnp.where(empty[:, :, None] | empty[:, None, :], 0.0, names["edges"])
    found = cooked("Graphs", **(names | {"nodes": nodes, "edges": edges}))
    lam = float(found.mix.lam[0])
    for name, x in (("nodes", np.asarray(nodes)), ("edges", np.asarray(edges))):
        expected = lam * x + (1 - lam) * x[::-1]
        np.testing.assert_allclose(found.graphs[name], expected, rtol=1e-5, atol=1e-6)
    hot = np.eye(10)[np.asarray(names["labels"])]
    np.testing.assert_allclose(found.soft, lam * hot + (1 - lam) * hot[::-1], atol=1e-6)


def test_an_unmixed_example_hears_only_itself(monkeypatch):
    """CTC at λ = 1: the frames that the partner alone has are silent."""
    names = given()
    heard = jnp.asarray(jnp.arange(12) < (7 + jnp.arange(B) % 5)[:, None], jnp.float32)
    monkeypatch.setattr(jm, "sample_mixup", lambda key, shape, **_: jm.no_mix(*shape))
    found = cooked("Speech with CTC", **(names | {"heard": heard}))
    np.testing.assert_array_equal(found.silent, 1 - heard)


def test_the_first_table_names_each_recipe_and_each_row_of_the_catalogue():
    table = TEXT.split("## ")[0]
    for title in RECIPES:
        assert f"](#{title.lower().replace(' ', '-')})" in table, title
    for name, *_ in ROWS:
        assert name in table, name
