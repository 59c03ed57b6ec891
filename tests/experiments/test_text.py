"""Text: vocabularies, Kim's network by hand, union masks, and the script."""

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
from experiments.models import kim_cnn
from experiments.text import __main__ as text
from experiments.text import train as text_train
from experiments.text.train import Method
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
LENGTHS = jnp.array([2, 5, 0, 1])
IDS = jnp.array([[2, 3, 0, 0, 0, 0], [4, 5, 6, 7, 8, 0], [0] * 6, [9, 0, 0, 0, 0, 0]])
ATTEND = jnp.arange(6)[None, None, :] < LENGTHS[:, None, None]
LABELS = jnp.array([0, 1, 2, 0])
SWAP = jnp.array([1, 0, 3, 2])
SETTING = text_train.Setting(10, 3, batch=2, rate=1e-2, width=5, maps=4)


@pytest.fixture(scope="module")
def model():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return kim_cnn.KimCNN(10, 3, width=5, maps=4, rngs=nnx.Rngs(0))


def mix_of(lam):
    lam = jnp.asarray(lam, jnp.float32)
    return jm.Mix(SWAP, lam, jnp.broadcast_to(lam, (4,)))


def union_mask(mix, attend):
    """As on the page."""
    return jm.blend(mix, attend, dtype=jnp.float32) > 0


def test_words_become_numbers():
    assert sentences.words("Don't  SAY (so), é!") == ["don't", "say", "(", "so", ")", ",", "é", "!"]
    numbers = sentences.vocabulary(["b a a", "b a c", "c d"])
    assert numbers == {"a": 2, "b": 3, "c": 4}  # d comes once
    tokens = sentences.encode(numbers, ["", "a never b", "b " * 9], 4)
    assert tokens.tolist() == [[0, 0, 0, 0], [2, 1, 3, 0], [3, 3, 3, 3]]  # 1 is unknown, 0 padding


def test_choices_look_at_no_test_sentence():
    """The sentences for choices take their place, or a part of those learned from."""
    movie, trec = sentences.toy().values()
    chosen = sentences.for_choices(movie, 1000)
    assert chosen.test == movie.val != movie.test and chosen.train == movie.train
    assert (chosen.test_labels == movie.val_labels).all()
    one, other = (sentences.for_choices(trec, seed) for seed in (1000, 1001))
    assert len(one.test) == 8 and len(one.train) == 72 and one.test != other.test
    labelled = lambda *parts: sorted(
        (t, int(y)) for ts, ys in parts for t, y in zip(ts, ys, strict=True)
    )
    halves = (one.train, one.train_labels), (one.test, one.test_labels)
    assert labelled(*halves) == labelled((trec.train, trec.train_labels))
    assert one.val == ()


def test_both_parts_are_read_by_the_words_learned_from():
    corpus = sentences.toy()["movie sentences"]
    data = sentences.encoded(corpus, 5)
    assert data.tokens.shape == data.tokens_test.shape == (80, 5)
    assert (data.labels == corpus.train_labels).all()
    assert (data.labels_test == corpus.test_labels).all()
    unknown = [(part == sentences.UNKNOWN).sum() for part in (data.tokens, data.tokens_test)]
    assert unknown[1] > unknown[0] > 0
    assert data.tokens.max() == len(sentences.vocabulary(corpus.train)) + 1


def test_an_archive_that_lacks_something_is_named(tmp_path):
    parts = {f"{name}_{part}": ["a b"] for name in ("movie", "trec") for part in ("train", "test")}
    parts["movie_val"] = ["c"]
    labels = {f"{name}_labels": np.uint8([1]) for name in parts}
    np.savez(tmp_path / "all.npz", **parts, **labels)
    found = sentences.read(tmp_path / "all.npz")
    assert found["TREC questions"].test == ["a b"] and found["movie sentences"].train_labels[0] == 1
    assert found["movie sentences"].val == ["c"] and not found["TREC questions"].val
    np.savez(tmp_path / "some.npz", **parts)
    with pytest.raises(ValueError, match="without movie_test_labels, movie_train_labels, trec_te"):
        sentences.read(tmp_path / "some.npz")
    with pytest.raises(loop.Stop, match="which is no file"):
        text.main(text.Config(out=tmp_path, data=tmp_path / "none.npz"))
    with pytest.raises(loop.Stop, match="--data is missing: name an"):
        text.main(text.Config(out=tmp_path))
    with pytest.raises(loop.Stop, match="--epochs got 7; it needs a multiple of 4"):
        text.main(text.Config(out=tmp_path, epochs=7))


def by_convolution(words, filters, sizes):
    """Each filter's largest answer, by XLA's convolution."""
    maps, found, at = filters.shape[1] // sum(sizes), [], 0
    for size in sizes:
        columns = filters[:, at : at + size * maps].reshape(-1, size, maps)
        answers = jax.lax.conv_general_dilated(
            words, columns.swapaxes(0, 1), (1,), [(size - 1, size - 1)],
            dimension_numbers=("NWC", "WIO", "NWC"),
        )  # fmt: skip
        found.append(answers.max(axis=1))
        at += size * maps
    return jnp.concatenate(found, axis=1)


def test_filters_answer_as_a_convolution_does_and_learn_as_one_does():
    keys, sizes = jax.random.split(KEY, 3), (3, 4, 5)
    words, filters = jax.random.normal(keys[0], (4, 7, 5)), jax.random.normal(keys[1], (5, 24))
    wanted = jax.random.normal(keys[2], (4, 6))
    values, gradients = [], []
    for strongest in (kim_cnn.strongest, by_convolution):
        values.append(strongest(words, filters, sizes))
        loss = lambda *given, f=strongest: (wanted * f(*given, sizes)).sum()
        gradients.append(jax.grad(loss, argnums=(0, 1))(words, filters))
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_sentence_shorter_than_a_filter_is_read_and_an_empty_one_too(model):
    logits = model(IDS)
    assert logits.shape == (4, 3) and jnp.isfinite(logits).all()
    np.testing.assert_allclose(logits[2], model.last.bias[...], atol=1e-6)  # no word, no feature
    np.testing.assert_allclose(model(IDS[1:, :]), logits[1:], atol=1e-6)
    wider = jnp.pad(IDS, ((0, 0), (0, 3)))  # more padding
    np.testing.assert_allclose(model(wider), logits, atol=1e-6)


def test_what_is_mixed(model):
    """A vector of each word, which padding lacks; or one vector of each sentence."""
    seen = {}
    model(IDS, tap=lambda i, x: seen.setdefault(i, x))
    assert seen[kim_cnn.WORDS].shape == (4, 6, 5) and seen[kim_cnn.SENTENCE].shape == (4, 12)
    np.testing.assert_array_equal((seen[kim_cnn.WORDS] != 0).any(-1), IDS > 0)
    mix, plain = mix_of([0.25]), model(IDS)
    tap = lambda layer: lambda i, x: jm.blend(mix, x) if i == layer else x
    mixed = model(IDS, tap=tap(kim_cnn.SENTENCE))
    np.testing.assert_allclose(mixed, 0.25 * plain + 0.75 * plain[SWAP], atol=1e-5)  # linear
    mixed = model(IDS, tap=tap(kim_cnn.WORDS))
    assert np.abs(mixed - 0.25 * plain - 0.75 * plain[SWAP]).max() > 1e-3


def test_padding_of_one_row_is_text_of_the_other():
    """Rows 0 and 1 see 5 places, rows 2 and 3 one; where λ is 1, a row's own."""
    places = lambda *counts: [[[i < n for i in range(6)]] for n in counts]
    assert union_mask(mix_of([0.75]), ATTEND).tolist() == places(5, 5, 1, 1)
    union = union_mask(mix_of([1.0, 0.75, 1.0, 0.75]), ATTEND)
    assert union.tolist() == places(2, 5, 0, 1)
    assert union_mask(mix_of([0.0]), ATTEND).tolist() == places(5, 2, 1, 0)


def test_packed_rows_attend_to_what_either_row_s_segments_do():
    segments = jnp.array([[1, 1, 2, 0], [1, 2, 2, 2]])
    own = (segments[:, :, None] == segments[:, None, :]) & (segments[:, :, None] > 0)
    assert own[0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    mix = jm.Mix(jm.reverse(), jnp.array([0.5]), jnp.full(2, 0.5))
    union = union_mask(mix, own)
    assert union[0].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    assert (union[0] == union[1]).all()


def test_word_ids_cannot_be_averaged():
    with pytest.raises(TypeError, match="for ids and bool masks call select"):
        jm.blend(mix_of([0.5]), IDS)
    with pytest.raises(TypeError, match="select got a mix with a float32 mask"):
        jm.select(mix_of([0.5]), IDS)


def test_words_are_dropped_at_the_rate_asked_for():
    words = jnp.full((50, 40), 7).at[:, 30:].set(sentences.PADDING)
    assert (text_train.drop_words(KEY, words, 0.0) == words).all()
    dropped = text_train.drop_words(KEY, words, 0.2)
    assert set(np.unique(dropped[:, :30])) == {1, 7} and (dropped[:, 30:] == 0).all()
    assert abs(float((dropped[:, :30] == 1).mean()) - 0.2) < 0.04


@pytest.mark.parametrize("method", [Method(), Method(1.0), Method(1.0, kim_cnn.SENTENCE)])
def test_a_method_s_loss_by_hand(method):
    layers = []

    def student(tokens, *, train, key, tap):
        given = jnp.arange(4.0)[:, None]
        layers.extend(i for i in range(2) if (tap(i, given) != given).any())
        return jnp.eye(3)[LABELS] * 2

    task = Task(student, student, KEY, jnp.int32(0), (IDS, LABELS))
    got, _ = text_train.loss(method, task)
    assert layers == ([method.layer] if method.alpha else [])
    key_mix, *_ = jax.random.split(KEY, 3)
    lam = jm.sample_mixup(key_mix, (4,), alpha=method.alpha).lam
    right, wrong = (np.log(np.exp(2) + 2) - x for x in (2, 0))
    other = np.where(np.array([True, False, False, True]), right, wrong)  # rows 0 and 3 agree
    np.testing.assert_allclose(got, np.mean(lam * right + (1 - lam) * other), rtol=1e-5)


def test_a_seed_is_its_weights_and_order_under_every_method():
    """A shorter training is the beginning of a longer one; no mixing is plain training."""
    corpus = sentences.toy()["movie sentences"]
    data = sentences.encoded(corpus, 8)
    setting = SETTING._replace(vocabulary=60, batch=20)
    fit = lambda method, seed, epochs: text_train.fit(
        text_train.trainer_of(setting), method, data, seed=seed, epochs=epochs
    )
    long, short, other = fit(Method(), 3, 3), fit(Method(), 3, 2), fit(Method(), 4, 2)
    np.testing.assert_array_equal(long.scores["nll"][:2], short.scores["nll"])
    assert (long.scores["nll"][:2] != other.scores["nll"]).all()
    assert long.hits.shape == (80,)
    np.testing.assert_allclose(1 - long.hits.mean(), long.scores["error"][-1], atol=1e-6)
    assert long.scores["train_loss"][2] < long.scores["train_loss"][0]
    same = fit(Method(layer=kim_cnn.SENTENCE), 3, 2)
    np.testing.assert_array_equal(same.scores["nll"], short.scores["nll"])
    for changed in (Method(1.0), Method(word_dropout=0.3), Method(weight_decay=1.0)):
        assert (fit(changed, 3, 2).scores["nll"] != short.scores["nll"]).all()


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


def test_smoke(tmp_path):
    assert text.main(text.Config(smoke=True, out=tmp_path)) == 0
    out = tmp_path / "smoke"
    pinned.check("text", out)
    names = {path.name for path in out.iterdir()}
    assert names == {"choose.jsonl", "runs.jsonl", "table.md", "plot.png"}
    written = (out / "table.md").read_text()
    assert all(f"| {name} |" in written for name in text.STRENGTHS) and "Pass rule" not in written
    assert len((out / "runs.jsonl").read_text().splitlines()) == 2 * 2 * len(text.STRENGTHS)
    tried = (out / "choose.jsonl").read_text().splitlines()
    assert len(tried) == 2 * 3 * (1 + 3 * (len(text.STRENGTHS) - 1))


def test_the_verdict_asks_for_both_corpora_and_for_good_plain_training():
    """And for the kind of mixing that was better where it was chosen."""

    def run(group, method, seed, error, held_out=9.0):
        found = {"last_error": error, "train_error": 0.5, "chosen_error": held_out}
        return {"group": group, "method": method, "seed": seed} | found

    movie, trec = text.LENGTHS
    seeds = range(3)
    runs = [run(group, "plain", s, 9 + s / 10) for group in text.LENGTHS for s in seeds]
    word = [run(group, "wordMixup", s, 8 + s / 9, 8.5) for group in text.LENGTHS for s in seeds]
    sentence = lambda group, error, held_out: [
        run(group, "senMixup", s, error + s / 9, held_out) for s in seeds
    ]
    worse = [*runs, *word, *sentence(movie, 9, 8.6)]
    assert text.rule([*worse, *sentence(trec, 9, 8.6)]).endswith("PASS.")
    verdict = text.rule([*worse, *sentence(trec, 9, 8.4)])
    assert verdict.endswith("FAIL.") and "(wordMixup), TREC" in verdict and "(senMixup)" in verdict
    assert text.rule([*worse, *sentence(trec, 8.5, 8.4)]).endswith("PASS.")
    for key in ("last_error", "train_error"):
        poor = [r | {key: 12.0} if r["method"] == "plain" else r for r in worse]
        found = text.rule([*poor, *sentence(trec, 9, 8.6)])
        assert found.endswith("missed, so that there is no verdict.")
