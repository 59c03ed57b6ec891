"""Fine-tuning: the rows, who sees what, the model, the mixed loss by hand, and the script."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.core import loop
from experiments.core.step import Task
from experiments.data import sentences
from experiments.fine_tuning import __main__ as study
from experiments.fine_tuning import train
from experiments.fine_tuning.model import LanguageModel
from experiments.fine_tuning.train import Method, Setting
from experiments.harness.choose import FIRST_SEED, Choice
from tests.experiments import pinned

SETTING = Setting(
    words=40, width=16, window=8, rows=4, steps=3, pre_rate=1e-2, questions=20, batch=5,
    epochs=8, rate=1e-2,
)  # fmt: skip
SURE = jnp.arange(20) % 2 == 0


@pytest.fixture(scope="module")
def model():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return train.make_model(SETTING, 0.0, nnx.Rngs(0))


def drawn(seed=0, *, choosing=False):
    movies, trec = sentences.toy().values()
    return train.draw(movies, trec, seed, SETTING, choosing=choosing)


def test_a_row_is_a_question_with_its_answer():
    numbers = {word: n for n, word in enumerate(("a", "b", "human", *train.SPECIAL), start=2)}
    rows = train.asked(numbers, ["a b?", "", "a " * 30], np.array([3, 0, 5]))
    end, ask = numbers["<end>"], numbers["<answer>"]
    human, first, last = (numbers[train.ANSWERS[i]] for i in (3, 0, 5))
    assert rows.tokens.shape == (3, train.QUESTION + 3)
    assert rows.tokens[0, :7].tolist() == [end, 2, 3, 1, ask, human, 0]
    assert rows.tokens[1, :4].tolist() == [end, ask, first, 0]
    assert rows.tokens[2].tolist() == [end, *[2] * train.QUESTION, ask, last]
    assert rows.places.tolist() == [4, 1, train.QUESTION + 1]
    assert rows.answers.tolist() == [human, first, last]
    assert (rows.tokens[np.arange(3), rows.places] == ask).all()


def text_of(rows):
    """The questions' words, as tuples."""
    return {tuple(r[1:p]) for r, p in zip(rows.tokens.tolist(), rows.places, strict=True)}


def test_results_and_choices_see_other_questions():
    """Numbered questions show who is where: no test question is read or learned."""
    movies, trec = sentences.toy().values()
    numbered = [f"q{i} q{i}" for i in range(80)]
    trec = trec._replace(train=numbered, test=["t t"] * 15, test_labels=trec.test_labels[:15])
    many = SETTING._replace(words=400, steps=200)
    for choosing in (False, True):
        data = train.draw(movies, trec, FIRST_SEED, many, choosing=choosing)
        assert len(data.train.tokens) == 20 and len(data.test.tokens) == 15
        mine, test, read = text_of(data.train), text_of(data.test), set(data.windows.flat)
        known = {word for row in mine for word in row} - {sentences.UNKNOWN}
        assert len(mine) == len(known) == 20 and not known & read
        assert test == {(1, 1)}  # of words that occur nowhere else
        assert many.end in read and data.windows.shape == (200, 4, 9)
    assert (drawn(0).train.tokens != drawn(1).train.tokens).any()
    jax.tree.map(np.testing.assert_array_equal, drawn(0), drawn(0))


def test_windows_are_places_in_the_stream():
    data = drawn()
    end = SETTING.end
    assert data.windows.max() < end + len(train.SPECIAL) and data.windows.min() > 0
    after = {}
    for window in data.windows.reshape(-1, 9):
        for word, following in itertools.pairwise(window):
            after.setdefault(int(word), set()).add(int(following))
    assert len(after[end]) > 1  # texts begin by several words


def test_no_later_word_has_influence(model):
    """So that neither the answer nor padding is seen where the answer is asked for."""
    rows = drawn().test
    before = model(jnp.asarray(rows.tokens))
    changed = rows.tokens.copy()
    beyond = np.arange(changed.shape[1]) > rows.places[:, None]
    changed[beyond] = 5
    after = model(jnp.asarray(changed))
    states = train.states(before, jnp.asarray(rows.places))
    np.testing.assert_allclose(
        states[:, 0], train.states(after, jnp.asarray(rows.places))[:, 0], atol=1e-5
    )
    assert np.abs(np.asarray(before - after))[beyond].max() > 1e-3
    at = np.arange(len(rows.places))
    np.testing.assert_array_equal(states[:, 0], before[at, rows.places])
    np.testing.assert_array_equal(states[:, 1], before[at, rows.places + 1])


def test_dropout_is_for_training_alone():
    model = LanguageModel(9, 4, width=8, dropout=jnp.float32(0.5), rngs=nnx.Rngs(0))
    tokens, key = jnp.ones((2, 4), jnp.int32), jax.random.key(0)
    np.testing.assert_array_equal(model(tokens), model(tokens, key=key))
    dropped = model(tokens, train=True, key=key)
    assert (dropped[0] != dropped[1]).any()
    assert model.head(dropped).shape == (2, 4, 9)


def loss_of(model, method, sure=SURE):
    rows = jax.tree.map(jnp.asarray, drawn().train)
    task = Task(model, model, jax.random.key(3), jnp.int32(0), (rows, sure))
    return float(train.loss(SETTING, method, task)[0])


def test_the_mixed_loss_by_hand(model):
    rows = jax.tree.map(jnp.asarray, drawn().train)
    hidden = np.asarray(train.states(model(rows.tokens), rows.places))
    table = np.asarray(model.words.embedding[...])
    words = np.stack([rows.answers, np.full(20, SETTING.end)], axis=1)

    def entropy(states, words):
        return -np.asarray(jax.nn.log_softmax(states @ table.T))[
            np.arange(20)[:, None], np.arange(2), words
        ]

    own = entropy(hidden, words).mean()
    assert loss_of(model, Method()) == pytest.approx(own, rel=1e-4)
    smooth = own * 0.7 - 0.3 * np.asarray(jax.nn.log_softmax(hidden @ table.T)).mean()
    assert loss_of(model, Method(smoothing=0.3)) == pytest.approx(smooth, rel=1e-4)
    key_pair, key_mix, _ = jax.random.split(jax.random.key(3), 3)
    pairing = jm.by_weight(key_pair, SURE[:, None] != SURE[None, :])
    assert (SURE[pairing] != SURE).all()
    mix = jm.sample_mixup(key_mix, (20,), alpha=0.5, per="example", pairing=pairing)
    lam = np.asarray(mix.lam)[:, None]
    blended = lam[..., None] * hidden + (1 - lam[..., None]) * hidden[pairing]
    mixed = lam * entropy(blended, words) + (1 - lam) * entropy(blended, words[pairing])
    method = Method(weight=0.5, alpha=0.5)
    assert loss_of(model, method) == pytest.approx(own + 0.5 * mixed.mean(), rel=1e-4)
    # Nobody to meet: no mixing, but with any partner there is.
    alone = jnp.zeros(20, bool)
    assert loss_of(model, method, alone) == pytest.approx(1.5 * own, rel=1e-4)
    anybody = loss_of(model, method._replace(across=0.0), alone)
    assert anybody != pytest.approx(1.5 * own, rel=1e-4)
    assert anybody == loss_of(model, method._replace(across=0.0))  # whatever the halves


def test_halves_are_halves():
    likelihood = np.array([[-1.0, -5, -3, -9], [-4, -1, -9, -3]])
    first = train.Known({}, None, None, likelihood, None)
    assert train.halves(first).tolist() == [True, True, False, False]


def test_candidates_differ_from_plain_in_what_their_name_says():
    field_of = {"fewer epochs": "stop", "label smoothing": "smoothing"}
    for method, candidates in study.METHODS.items():
        assert len(candidates) == (1 if method == "plain" else 4)
        for name, numbers in candidates.items():
            changed = {n for n in Method._fields if getattr(numbers, n) != getattr(Method(), n)}
            if method in ("SFTMix", "random partners"):
                assert changed - {"across"} == {"weight", "alpha"}
                assert ("across" in changed) == (method == "random partners")
                assert name == f"{method} α={numbers.alpha:g}, weight {numbers.weight:g}"
            elif method == "plain":
                assert not changed
            else:
                field = field_of.get(method, method.replace(" ", "_"))
                value = getattr(numbers, field) * (study.EPOCHS if field == "stop" else 1)
                assert changed == {field} and f"{value:g}" in name.split()
    assert set(study.BASELINES) < set(study.METHODS)


def test_only_what_was_chosen_is_told():
    assert study.said(("a", "plain"), Choice("plain", 0)) == ""
    assert study.said(("a", "SFTMix"), Choice("SFTMix α=2", 0)) == "SFTMix α=2"


def planted(train_error=0.0, **nll):
    """Runs with these NLLs, which are also those on held-out questions; dropout is the best."""
    levels = {name: 2.0 for name in study.METHODS} | {"dropout": 1.0}
    levels |= {name.replace("_", " "): value for name, value in nll.items()}
    noise = np.random.default_rng(0).normal(0, 0.1, (len(levels), 4, 50))
    noise -= noise.mean((1, 2), keepdims=True)
    return [
        {"group": study.GROUP, "method": name, "seed": seed, "train_error": train_error}
        | {"chosen_nll": level, "losses": (level + noise[i, seed]).tolist()}
        for i, (name, level) in enumerate(levels.items())
        for seed in range(4)
    ]


def test_verdict():
    assert "dropout, the best" in study.rule(planted(SFTMix=0.9))
    assert "): PASS." in study.rule(planted(SFTMix=0.9))
    assert "): PASS." in study.rule(planted(SFTMix=1.0))  # not worse than dropout
    assert "): FAIL." in study.rule(planted(SFTMix=1.5))
    assert "): FAIL." in study.rule(planted(SFTMix=0.9, plain=0.9))  # no gain over plain
    assert "no verdict" in study.rule(planted(train_error=3.0, SFTMix=0.9))


def test_the_interval_covers_the_questions():
    """All seeds alike: what is left is the spread over the questions they share."""
    lower = np.arange(100.0)
    runs = [
        {"method": method, "seed": seed, "losses": (sign * lower).tolist()}
        for seed in range(3)
        for method, sign in (("SFTMix", 0), ("plain", 1))
    ]
    found = study.gain(runs, "SFTMix", "plain")
    assert found.mean == pytest.approx(lower.mean())
    assert found.half == pytest.approx(1.96 * lower.std(ddof=1) / 10, rel=1e-3)


def test_missing_data_stop_with_one_sentence(tmp_path):
    with pytest.raises(loop.Stop, match="--data is missing: name the"):
        study.main(study.Config(out=tmp_path))
    with pytest.raises(loop.Stop, match=r"none\.npz.*no file: .*fetch sentences`"):
        study.main(study.Config(out=tmp_path, data=tmp_path / "none.npz"))


@pytest.mark.slow
def test_fewer_epochs_stop():
    """When half of the epochs are over, nothing changes any more."""
    data = drawn()
    model = train.make_model(SETTING, 0.0, nnx.Rngs(0))
    params = nnx.state(model, nnx.Param)
    curves = {}
    for stop in (0.5, 1.0):
        method = jax.tree.map(jnp.float32, Method(stop=stop))
        found = train.fine_tuned(SETTING, False, method, jax.random.key(0), params, data, SURE)
        curves[stop] = np.asarray(found.scores["nll"])
        assert found.losses.shape == (2, 80) and found.likelihood.shape == (2, 20)
        np.testing.assert_allclose(found.losses.mean(1), curves[stop], rtol=1e-4)
    assert curves[0.5][0] == pytest.approx(curves[0.5][1], rel=1e-5)
    assert curves[1.0][0] != pytest.approx(curves[1.0][1], rel=1e-3)


@pytest.mark.slow
def test_smoke(tmp_path):
    assert study.main(study.Config(smoke=True, out=tmp_path)) == 0
    out = tmp_path / "smoke"
    pinned.check("fine_tuning", out)
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    tried = [json.loads(line) for line in (out / "choose.jsonl").read_text().splitlines()]
    assert len(runs) == 2 * len(study.METHODS) and {run["seed"] for run in runs} == {0, 1}
    assert {run["seed"] for run in tried} == {FIRST_SEED}
    held = {(run["method"], run["seed"]): run for run in runs}
    curve = {run["method"]: run["curve"] for run in tried}
    for run in runs:
        names = study.METHODS[run["method"]]
        assert run["chosen_nll"] == pytest.approx(min(curve[name][-1] for name in names))
        assert np.mean(run["losses"]) == pytest.approx(run["nll"], abs=1e-3)
        assert run["hits"].startswith("80:")
        # All methods of a seed have the same language model.
        assert run["base_nll"] == held["plain", run["seed"]]["base_nll"]
    assert held["SFTMix", 0]["nll"] != held["random partners", 0]["nll"]
    assert (out / "plot.png").stat().st_size > 10_000
