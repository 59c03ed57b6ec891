"""Contrastive losses and probes by hand, and the script."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.contrastive import __main__ as contrastive
from experiments.contrastive import losses as contrastive_losses
from experiments.contrastive import probe
from experiments.contrastive import train as contrastive_train
from experiments.contrastive.losses import METHODS, Method
from experiments.core import loop
from experiments.core.step import Task, init, train_step
from experiments.data import few, semi
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 4, 1)), jnp.float32)
W = jnp.asarray(np.random.default_rng(1).normal(size=(16, 5)), jnp.float32)
TAU = 0.5


class Linear(nnx.Module):
    def __init__(self, w):
        self.w = nnx.Param(w)

    def __call__(self, x, *, train=False, key=None):
        return x.reshape(len(x), -1) @ self.w[...]


def two_views():
    """Views that are known: the first call adds nothing, the second 0.3."""
    added = iter([0.0, 0.3])
    return lambda key, x: x + next(added)


def contrast(method, x=X, w=W):
    task = Task(Linear(w), None, KEY, jnp.int32(0), x)
    return contrastive_losses.contrast(task, views=two_views(), method=method, temperature=TAU)


def cosines(a, b):
    a, b = (np.asarray(x, np.float64).reshape(len(x), -1) @ np.asarray(W) for x in (a, b))
    unit = lambda z: z / np.linalg.norm(z, axis=1, keepdims=True)
    return unit(a) @ unit(b).T / TAU


def log_softmax(s):
    s = s - s.max(-1, keepdims=True)
    return s - np.log(np.exp(s).sum(-1, keepdims=True))


def fixed(lam, partner):
    """A sampler that draws the given values."""
    lam = jnp.asarray(lam, jnp.float32)
    return lambda key, shape: jm.Mix(jnp.asarray(partner), lam, jnp.broadcast_to(lam, shape[:1]))


def test_simclr_by_hand_in_both_directions():
    s = cosines(X, X + 0.3)
    wanted = -(np.diag(log_softmax(s)) + np.diag(log_softmax(s.T))).mean() / 2
    loss, terms = jax.jit(lambda: contrast(METHODS["SimCLR"]))()
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    assert set(terms) == {"clean"}


@pytest.mark.parametrize("clean", (False, True))
def test_mixed_terms_by_hand(clean):
    """An example is matched with its own place by λ, and with its partner's by the rest."""
    partner, lam = np.array([2, 0, 1, 3, 5, 4]), np.random.default_rng(2).uniform(0.5, 1, 6)
    loss, terms = jax.jit(lambda: contrast(Method(fixed(lam, partner), clean)))()
    x, share = np.asarray(X), lam[:, None, None, None]
    logs = log_softmax(cosines(share * x + (1 - share) * x[partner], x + 0.3))
    rows = np.arange(6)
    mixed = -(lam * logs[rows, rows] + (1 - lam) * logs[rows, partner]).mean()
    np.testing.assert_allclose(terms["mixed"], mixed, rtol=1e-5)
    own = float(contrast(METHODS["SimCLR"])[0]) if clean else 0.0
    np.testing.assert_allclose(loss, own + mixed, rtol=1e-5)


def test_without_mixing_it_is_info_nce_exactly():
    """λ = 1, and an example that is its own partner, whatever λ is."""
    s = contrastive_losses.similarities(X.reshape(6, -1) @ W, (X + 0.3).reshape(6, -1) @ W, TAU)
    plain = contrastive_losses.info_nce(s).mean()
    for sampler in (fixed(np.ones(6), np.arange(6)[::-1]), fixed(np.full(6, 0.7), np.arange(6))):
        terms = contrast(Method(sampler, clean=False))[1]
        np.testing.assert_allclose(terms["mixed"], plain, rtol=1e-6)
    mix = fixed(np.ones(6), np.arange(6)[::-1])(None, (6,))
    ids, losses = jnp.arange(6), contrastive_losses.cross_entropy
    exact = jm.pair_loss(mix, losses, s, ids) == contrastive_losses.info_nce(s)
    assert exact.all()  # to the last bit


def test_a_rows_own_is_never_a_negative():
    """The gradient pulls at own and partner by their weights, and pushes all others."""
    partner, lam = np.array([1, 2, 3, 0]), np.array([0.9, 0.6, 0.5, 1.0])
    mix = fixed(lam, partner)(None, (4,))
    s = jnp.asarray(np.random.default_rng(3).normal(size=(4, 4)), jnp.float32)
    loss = lambda s: jm.pair_loss(mix, contrastive_losses.cross_entropy, s, jnp.arange(4)).sum()
    wanted = np.exp(log_softmax(np.asarray(s, np.float64)))
    wanted -= lam[:, None] * np.eye(4) + (1 - lam)[:, None] * np.eye(4)[partner]
    found = np.asarray(jax.jit(jax.grad(loss))(s))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    strangers = np.ones((4, 4), bool)
    strangers[np.arange(4), np.arange(4)] = strangers[np.arange(4), partner] = False
    assert (found[strangers] > 0).all()
    # Where both views agree and all others are far, nothing is left to learn.
    apart = contrastive_losses.info_nce(1000 * jnp.eye(4))
    np.testing.assert_allclose(apart, 0, atol=1e-6)


def test_samplers_are_those_of_the_papers():
    shape = (64, 4, 4)
    draw = {
        name: [
            jax.jit(method.sampler, static_argnums=1)(jax.random.key(i), shape) for i in range(12)
        ]
        for name, method in METHODS.items()
        if method.sampler is not None
    }
    for mix in draw["i-Mix"]:
        assert (mix.lam >= 0.5).all() and len(np.unique(mix.lam)) > 50
        assert sorted(mix.partner.tolist()) == list(range(64))
    np.testing.assert_allclose(np.mean([m.lam for m in draw["i-Mix"]]), 0.75, atol=0.03)
    boxes = 0
    for mix in draw["Un-Mix"]:
        assert len(np.unique(mix.lam)) == 1  # one λ for the batch
        boxes += set(np.unique(mix.mask)) <= {0.0, 1.0}
        np.testing.assert_allclose(mix.mask.mean(), mix.lam[0], atol=1e-5)
        assert (jm.take_partner(mix, jnp.arange(64)) == jnp.arange(64)[::-1]).all()
    assert 0 < boxes < 12  # mixup, and CutMix
    for mix in draw["MixCo"]:
        assert (jm.take_partner(mix, jnp.arange(64)) == (jnp.arange(64) + 32) % 64).all()
        assert len(np.unique(mix.lam)) == 64 and mix.lam.min() < 0.2


def test_too_small_a_batch_is_an_error():
    with pytest.raises(ValueError, match=r"1 examples.*2 or more"):
        contrast(METHODS["SimCLR"], x=X[:1])
    # A projection of zeros has no direction: no NaN, not even in the gradient.
    loss = lambda w: contrast(METHODS["SimCLR"], w=w)[0]
    value, gradient = jax.value_and_grad(loss)(jnp.zeros_like(W))
    np.testing.assert_allclose(value, np.log(6), rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_views_cut_a_square_out_of_each_picture():
    x = jnp.ones((20, 8, 8, 2))
    cut = np.asarray(contrastive_losses.cutout(KEY, x, side=3))
    assert (cut.sum((1, 2)) == 64 - 9).all()
    for picture in cut[..., 0] == 0:
        rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
        assert np.ptp(rows) == np.ptp(columns) == 2
    assert len({picture.tobytes() for picture in cut}) > 10
    for views in (contrastive_losses.digit_views, contrastive_losses.picture_views):
        first, second = (jax.jit(views)(key, x) for key in jax.random.split(KEY))
        assert first.shape == x.shape and (first != second).any((1, 2, 3)).all()


def test_probes_by_hand():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    tests, penalty = rng.normal(size=(7, 4)), 0.3
    f, t = ((a - x.mean(0)) / x.std(0) for a in (x, tests))
    # The same least squares, as one with √(n r) I below the features.
    big = np.concatenate([f, np.sqrt(30 * penalty) * np.eye(4)])
    hot = np.concatenate([np.eye(3)[y] - 1 / 3, np.zeros((4, 3))])
    weights = np.linalg.lstsq(big, hot, rcond=None)[0]
    found = probe.ridge(x, y, tests, penalty=penalty)
    np.testing.assert_array_equal(found, (t @ weights).argmax(1))
    rare = np.array([0] * 29 + [1])  # without features the class frequencies decide
    assert (probe.ridge(x, rare, tests, penalty=1e9) == 0).all()
    np.testing.assert_array_equal(probe.nearest(x, y, 5 * x), y)  # of the direction alone
    assert probe.nearest(np.eye(2), np.array([4, 7]), np.array([[0.1, 3.0]])).tolist() == [7]


def test_labels_reach_only_the_supervised():
    """Contrastive batches hold all examples of the half; supervised ones the n with labels."""
    pool = few.pool(None)
    rows = semi.draw(KEY, pool, labels=800, choosing=False)
    take = jax.jit(partial(contrastive_train.batch, pool=pool))
    batches = [
        take(jax.random.key(i), contrastive_train.Data(rows, jnp.int32(3))) for i in range(4)
    ]
    own = np.asarray(pool.x[rows.labelled[:3]])
    for batch in batches:
        match = (np.asarray(batch.x)[:, None] == own).all((2, 3, 4))
        assert (match.sum(1) == 1).all()
        np.testing.assert_array_equal(
            batch.y, np.asarray(pool.y[rows.labelled[:3]])[match.argmax(1)]
        )
    seen = np.unique(np.concatenate([b.unlabelled.reshape(64, -1) for b in batches]), axis=0)
    assert len(seen) > 200
    recipe = contrastive_train.recipe_of(pool, "i-Mix", contrastive_train.Candidate())
    given = batches[0]._replace(x=batches[0].x * jnp.nan)
    _, scores = jax.jit(partial(train_step, recipe))(init(recipe, KEY), KEY, given)
    assert np.isfinite(scores["loss"])


def test_readme_block():
    """i-Mix as the README has it, by NumPy."""
    model = lambda x: x.reshape(len(x), -1) @ W
    names = run(block("similarities"), key=KEY, model=model, first=X, second=X + 0.3, tau=TAU)
    mix, x = names["mix"], np.asarray(X)
    lam, rows, partner = np.asarray(mix.lam), np.arange(6), np.arange(6)[::-1]
    assert (lam >= 0.5).all() and len(np.unique(lam)) == 6
    share = lam[:, None, None, None]
    logs = log_softmax(cosines(share * x + (1 - share) * x[partner], x + 0.3))
    wanted = -(lam * logs[rows, rows] + (1 - lam) * logs[rows, partner]).mean()
    np.testing.assert_allclose(names["loss_fn"](model), wanted, rtol=1e-5)


@pytest.mark.slow
def test_smoke_writes_runs_table_and_picture(tmp_path):
    assert contrastive.main(contrastive.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("contrastive", tmp_path / "smoke")
    out = tmp_path / "smoke"
    found = {path.name for path in out.iterdir()}
    assert found == {"runs.jsonl", "choose.jsonl", "table.md", "plot.png"}
    assert "i-Mix" in (out / "table.md").read_text()
    with pytest.raises(loop.Stop, match="nowhere"):
        contrastive.main(contrastive.Config(data=str(tmp_path / "nowhere.npz"), out=tmp_path))
