"""Text: vocabularies, masks, mixed features and swapped spans by hand, and the script."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.core import loop
from experiments.core.step import Task
from experiments.data import sentences
from experiments.models import transformer
from experiments.text import __main__ as text
from experiments.text import train as text_train
from experiments.text.train import Batch, Method
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
LENGTHS = jnp.array([2, 5, 0, 1])
IDS = jnp.array([[2, 3, 0, 0, 0, 0], [4, 5, 6, 7, 8, 0], [0] * 6, [9, 0, 0, 0, 0, 0]])
ATTEND = transformer.padding_mask(LENGTHS, 6)
LABELS = jnp.array([0, 1, 2, 0])
SWAP = jnp.array([1, 0, 3, 2])


@pytest.fixture(autouse=True)
def plain_promotion():
    """Flax and optax promote; the library's own strictness is tested elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def model():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return transformer.TextEncoder(10, 6, 3, width=8, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def read(model):
    """The logits of IDS, or of others, with features mixed after a layer: one program for all."""
    graph, params = nnx.split(model)

    @jax.jit
    def logits(lam, layer, own_mask, ids):
        tap = text_train.mixing_tap(mix_of(lam), layer, own_mask=own_mask)
        return nnx.merge(graph, params)(ids, ATTEND, tap=tap)

    return lambda lam, layer, own_mask=0.0, ids=IDS: np.asarray(
        logits(jnp.full(4, lam), layer, own_mask, ids)
    )


def mix_of(lam):
    lam = jnp.asarray(lam, jnp.float32)
    return jm.Mix(SWAP, lam, jnp.broadcast_to(lam, (4,)))


def test_words_become_numbers():
    assert sentences.words("Don't  SAY (so), é!") == ["don't", "say", "(", "so", ")", ",", "é", "!"]
    numbers = sentences.vocabulary(["b a a", "b a c", "c d"], 4)
    assert numbers == {"a": 2, "b": 3}  # c has no place, d comes once
    assert sentences.vocabulary(["b a a", "b a c", "c d"], 9) == {"a": 2, "b": 3, "c": 4}
    assert sentences.vocabulary(["a a"], 1) == {}
    tokens, lengths = sentences.encode(numbers, ["", "a never b", "b " * 9], 4)
    assert tokens.tolist() == [[0, 0, 0, 0], [2, 1, 3, 0], [3, 3, 3, 3]]  # 1 is unknown, 0 padding
    assert lengths.tolist() == [0, 3, 4]


def test_a_seed_draws_its_sentences_and_learns_its_words_from_them():
    corpus = sentences.toy()["movie sentences"]
    one, other = (sentences.draw(corpus, seed, train=20, size=30, length=5) for seed in (0, 1))
    assert one.tokens.shape == (20, 5) and one.tokens_test.shape == (80, 5)
    assert (one.labels_test == corpus.test_labels).all() and (one.labels != other.labels).any()
    assert one.lengths.max() == 5 and ((one.tokens > 0).sum(1) == one.lengths).all()
    assert (one.tokens_test == sentences.UNKNOWN).sum() > (one.tokens == sentences.UNKNOWN).sum()
    with pytest.raises(ValueError, match="train=81 of 80 sentences"):
        sentences.draw(corpus, 0, train=81, size=30, length=5)


def test_an_archive_that_lacks_something_is_named(tmp_path):
    parts = {f"{name}_{part}": ["a b"] for name in ("movie", "trec") for part in ("train", "test")}
    labels = {f"{name}_labels": np.uint8([1]) for name in parts}
    np.savez(tmp_path / "all.npz", **parts, **labels)
    found = sentences.read(tmp_path / "all.npz")
    assert found["TREC questions"].test == ["a b"] and found["movie sentences"].train_labels[0] == 1
    np.savez(tmp_path / "some.npz", **parts)
    with pytest.raises(ValueError, match="without movie_test_labels, movie_train_labels, trec_te"):
        sentences.read(tmp_path / "some.npz")
    with pytest.raises(loop.Stop, match="which is no file"):
        text.main(text.Config(out=tmp_path, data=tmp_path / "none.npz"))
    with pytest.raises(loop.Stop, match="--data is missing: name an"):
        text.main(text.Config(out=tmp_path))
    with pytest.raises(loop.Stop, match="--steps got 7; it needs a multiple of 6"):
        text.main(text.Config(out=tmp_path, steps=7))


def test_padding_of_one_row_is_text_of_the_other():
    """Rows 0 and 1 see 5 places, rows 2 and 3 one; where λ is 1, a row's own."""
    places = lambda *counts: [[[i < n for i in range(6)]] for n in counts]
    assert text_train.union_mask(mix_of([0.75]), ATTEND).tolist() == places(5, 5, 1, 1)
    union = text_train.union_mask(mix_of([1.0, 0.75, 1.0, 0.75]), ATTEND)
    assert union.tolist() == places(2, 5, 0, 1)
    assert text_train.union_mask(mix_of([0.0]), ATTEND).tolist() == places(5, 2, 1, 0)


def test_packed_rows_attend_to_what_either_row_s_segments_do():
    segments = jnp.array([[1, 1, 2, 0], [1, 2, 2, 2]])
    own = transformer.segment_mask(segments)
    assert own[0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    mix = jm.Mix(jm.reverse(), jnp.array([0.5]), jnp.full(2, 0.5))
    union = text_train.union_mask(mix, own)
    assert union[0].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    assert (union[0] == union[1]).all()
    members = transformer.segment_members(segments, 3)
    assert members[0].tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_a_packed_sentence_is_read_as_if_it_were_alone(model):
    packed = jnp.array([[2, 3, 4, 5, 6, 0], [7, 8, 9, 0, 0, 0]])
    segments = jnp.array([[1, 1, 2, 2, 2, 0], [1, 2, 2, 0, 0, 0]])
    features = nnx.jit(lambda model, ids, attend: model.features(ids, attend)[0])
    x = features(model, packed, transformer.segment_mask(segments))
    vectors = transformer.pooled(x, transformer.segment_members(segments, 2)).reshape(4, -1)
    alone = jnp.array([[2, 3, 0, 0, 0, 0], [4, 5, 6, 0, 0, 0], [7] + [0] * 5, [8, 9, 0, 0, 0, 0]])
    attend = transformer.padding_mask(jnp.array([2, 3, 1, 2]), 6)
    y = features(model, alone, attend)
    np.testing.assert_allclose(vectors, transformer.pooled(y, attend)[:, 0], atol=1e-5)
    # Pooled sentences are rows: those that are there are mixed, an empty place is left as it is.
    there = jnp.array([True, True, True, False])
    mixed = jm.blend(jm.keep(mix_of([0.25]), there), vectors)
    np.testing.assert_allclose(mixed[0], 0.25 * vectors[0] + 0.75 * vectors[1], atol=1e-6)
    np.testing.assert_array_equal(mixed[2:], vectors[2:])


def test_a_longer_partner_is_read_by_the_union_only(read):
    union, own = read(0.5, 0), read(0.5, 0, own_mask=1.0)
    assert np.abs(union - own)[[0, 2]].max(axis=1).min() > 1e-3  # their partners are longer
    np.testing.assert_array_equal(union[[1, 3]], own[[1, 3]])
    # At λ = ½ both rows of a pair are one example: by the wrong mask they are two.
    np.testing.assert_allclose(union[0], union[1], atol=1e-6)
    assert np.abs(own[0] - own[1]).max() > 1e-3
    other = IDS.at[1, 3].set(2)  # a word that only the union reads
    assert (read(0.5, 0, ids=other)[0] != union[0]).any()
    np.testing.assert_array_equal(read(0.5, 0, own_mask=1.0, ids=other)[0], own[0])


def test_no_mixing_gives_exactly_the_plain_outputs(model, read):
    """At λ = 1, though the partner is longer; and at λ = 0 they are the partner's."""
    plain = read(0.5, text_train.NOWHERE)
    np.testing.assert_allclose(nnx.jit(lambda m: m(IDS, ATTEND))(model), plain, atol=1e-6)
    assert np.isfinite(plain).all()
    for layer in range(text_train.SENTENCE + 1):
        np.testing.assert_array_equal(read(1.0, layer), plain)
        np.testing.assert_allclose(read(0.0, layer), plain[SWAP], atol=1e-5)
        assert np.abs(read(0.5, layer) - plain)[:2].max() > 1e-4


def test_what_padding_holds_and_empty_rows_have_no_influence(model, read):
    filled = jnp.where(ATTEND[:, 0], IDS, 7)
    np.testing.assert_array_equal(read(0.5, 1, ids=filled), read(0.5, 1))
    pooled = transformer.pooled(jnp.ones((4, 6, 2)), ATTEND)
    assert pooled[:, 0, 0].tolist() == [1, 1, 0, 1]
    graph, params = nnx.split(model)

    @jax.jit
    @jax.grad
    def grads(params):
        tap = text_train.mixing_tap(mix_of([0.5]), 1)
        return nnx.merge(graph, params)(IDS, ATTEND, tap=tap).sum()

    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads(params)))


def test_word_ids_cannot_be_averaged():
    with pytest.raises(TypeError, match="for ids and bool masks call select"):
        jm.blend(mix_of([0.5]), IDS)
    with pytest.raises(TypeError, match="select got a mix with a float32 mask"):
        jm.select(mix_of([0.5]), IDS)


def test_swapped_spans_stay_inside_both_sentences():
    lengths = jnp.array([6, 3, 0, 1, 6, 2])
    words = 100 * jnp.arange(1, 7)[:, None] + jnp.arange(6)
    words = jnp.where(jnp.arange(6) < lengths[:, None], words, 0)
    batch, partner = Batch(words, lengths, lengths), np.array([1, 0, 3, 2, 5, 4])
    spans = set()
    swap = jax.jit(lambda key: text_train.swap_spans(key, batch, pairing=jnp.asarray(partner)))
    for key in jax.random.split(KEY, 25):
        mix, tokens = swap(key)
        tokens, n = np.asarray(tokens), np.asarray(lengths)
        for row in range(6):
            new = tokens[row, : n[row]]
            assert (new > 0).all() and (tokens[row, n[row] :] == 0).all()
            own = new // 100 == row + 1
            assert (new[own] == np.asarray(words)[row, : n[row]][own]).all()  # in their places
            swapped = new[~own]
            assert (swapped // 100 == partner[row] + 1).all()
            places = np.flatnonzero(~own)
            assert (np.diff(swapped) == 1).all() and (np.diff(places) == 1).all()  # one span
            share = own.mean() if n[row] else 1  # of the tokens
            np.testing.assert_allclose(mix.lam[row], share, rtol=2e-7)
            spans.add((row, len(places)))
    assert {(0, 3), (1, 3), (5, 2), (4, 2)} <= spans  # never longer than the shorter sentence
    assert (2, 0) in spans and {count for row, count in spans if row == 3} == {0}


def test_partners_are_reversed_or_of_like_length():
    lengths = jnp.array([3, 30, 4, 31, 5, 29, 6, 33, 7, 28])
    assert text_train.partners(KEY, lengths, 0.0).tolist() == list(range(9, -1, -1))
    matched = text_train.partners(KEY, lengths, 1.0)
    assert (jnp.abs(lengths[matched] - lengths) <= 5).all() and (matched != jnp.arange(10)).all()


def test_words_are_dropped_at_the_rate_asked_for():
    words = jnp.full((50, 40), 7)
    assert (text_train.drop_words(KEY, words, 0.0) == 7).all()
    dropped = text_train.drop_words(KEY, words, 0.2)
    assert set(np.unique(dropped)) == {1, 7} and abs(float((dropped == 1).mean()) - 0.2) < 0.04


@pytest.mark.parametrize("method", [Method(), Method(1.0, first=3, last=3), Method(1.0, span=1)])
def test_a_method_s_loss_by_hand(method):
    seen = {}

    def student(tokens, attend, *, train, key, tap):
        seen.update(tokens=tokens, layers=[i for i in range(4) if tapped(tap, i)])
        return jnp.eye(3)[LABELS] * 2

    tapped = lambda tap, i: (
        tap(i, jnp.arange(4.0)[:, None], ATTEND)[0] != jnp.arange(4)[:, None]
    ).any()
    batch = Batch(IDS, LENGTHS, LABELS)
    task = Task(student, student, KEY, jnp.int32(0), batch)
    got, _ = text_train.loss(method, task)
    right, wrong = (np.log(np.exp(2) + 2) - x for x in (2, 0))
    assert seen["layers"] == ([3] if method.last else [])
    if method.span:
        _, key_mix, *_ = jax.random.split(KEY, 5)
        lam = text_train.swap_spans(key_mix, batch, pairing=jnp.array([3, 2, 1, 0]))[0].lam
        assert (lam < 1).any() and (seen["tokens"] != IDS).any()
    else:
        _, key_mix, *_ = jax.random.split(KEY, 5)
        lam = jm.sample_mixup(key_mix, (4,), alpha=method.alpha).lam
        np.testing.assert_array_equal(seen["tokens"], IDS)
    other = np.where(np.array([True, False, False, True]), right, wrong)  # rows 0 and 3 agree
    np.testing.assert_allclose(got, np.mean(lam * right + (1 - lam) * other), rtol=1e-5)


def test_the_readme_s_block():
    lower = lambda ids, valid: jnp.stack([ids, 10 * ids], -1).astype(jnp.float32)
    upper = lambda x, mask: (x * mask[..., None]).sum(1) / 10
    ids, lengths, labels = IDS[:2], LENGTHS[:2], jnp.array([0, 1])
    given = {"key": KEY, "ids": ids, "lengths": lengths, "labels": labels}
    names = run(block("model.upper"), **given)
    assert names["either"].tolist() == [[True] * 5 + [False]] * 2
    lam = float(names["mix"].lam[0])
    sums = np.array([5.0, 30.0])  # of the rows' ids
    mixed = lam * sums + (1 - lam) * sums[::-1]
    logits = np.stack([mixed, 10 * mixed], axis=1) / 10
    nll = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    nll = nll + logits.max(1, keepdims=True) - logits
    expected = np.mean([lam * nll[i, i] + (1 - lam) * nll[i, 1 - i] for i in range(2)])
    loss = names["loss_fn"](SimpleNamespace(lower=lower, upper=upper))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    swapped, spans = np.asarray(names["swapped"]), names["spans"]
    own = (swapped == np.asarray(ids)) & (np.asarray(ids) > 0)
    np.testing.assert_allclose(spans.lam, own.sum(1) / np.asarray(lengths))
    assert ((swapped > 0) == (np.asarray(ids) > 0)).all()


@pytest.mark.slow
def test_smoke(tmp_path):
    assert text.main(text.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("text", tmp_path / "smoke")
    out = tmp_path / "smoke"
    assert {path.name for path in out.iterdir()} == {"runs.jsonl", "table.md", "plot.png"}
    written = (out / "table.md").read_text()
    assert all(f"| {name} |" in written for name in text.METHODS) and "Pass rule" not in written
    assert len((out / "runs.jsonl").read_text().splitlines()) == 2 * 2 * len(text.METHODS)


def test_the_verdict_asks_for_both_corpora():
    run = lambda group, method, seed, error: {
        "group": group, "method": method, "seed": seed, "last_error": error
    }  # fmt: skip
    runs = [run(g, "plain", s, 30.0 + s) for g in text.TRAIN for s in range(3)]
    both = [run(g, text.MAIN, s, 28.0 + 1.1 * s) for g in text.TRAIN for s in range(3)]
    assert text.RULE(runs + both).endswith("PASS.")
    one = [r | {"last_error": 30.0} if r["group"] == "TREC questions" else r for r in both]
    assert text.RULE(runs + one).endswith("FAIL.")
