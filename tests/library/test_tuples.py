"""Mixes of more than two examples: what is laid over what, and labels that count what is left."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(11)
SHAPE = (5, 6, 7)


def loops(mixes, x):
    """By hand: each layer over the last, from the rows as they were."""
    out = x.astype(np.float64)
    for mix in mixes:
        partner = np.asarray(jm.partner_index(mix.partner, len(x)))
        mask = np.asarray(mix.mask, np.float64)
        mask = np.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape)
        for i in range(len(x)):
            out[i] = mask[i] * out[i] + (1 - mask[i]) * x[partner[i]]
    return out


def shares(mixes, shape):
    """Which part of each row is whose, counted on rows of one-hot values."""
    eye = np.eye(shape[0]).reshape(shape[0], *[1] * (len(shape) - 1), shape[0])
    rows = np.broadcast_to(eye, (*shape, shape[0]))
    return loops(mixes, rows).reshape(shape[0], -1, shape[0]).mean(axis=1)


def three_boxes(key, per="example"):
    keys = jax.random.split(key, 3)
    return [
        jm.sample_cutmix(k, SHAPE, per=per, pairing=jm.roll(i)) for i, k in enumerate(keys, start=1)
    ]


SAMPLERS = {
    "ricap": partial(jm.sample_ricap, alpha=1.0),
    "dirichlet": partial(jm.sample_dirichlet, k=4),
    "boxes": lambda key, shape, per="batch": jm.overlay(*three_boxes(key, per)),
    "box over mixup": lambda key, shape, per="batch": jm.overlay(
        jm.sample_mixup(key, shape, per=per), jm.sample_cutmix(KEY, shape, pairing=jm.roll())
    ),
}
samplers = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


@samplers
def test_inputs_labels_losses_and_scores_agree_with_hand(sampler):
    x = np.random.default_rng(0).uniform(0, 200, (*SHAPE, 2)).astype(np.float32)
    ids = jnp.array([0, 3, 3, 1, 2])

    @jax.jit
    def use(key, x):
        mix = sampler(key, SHAPE, per="example")
        labels = jm.blend_labels(mix, jnp.arange(5), num_classes=5)
        logits = jnp.log(x.mean((1, 2, 3))[:, None] + jnp.arange(1.0, 6.0)[None, :])
        nll = lambda o, t: -jnp.take_along_axis(jax.nn.log_softmax(o), t[:, None], axis=1)[:, 0]
        soft = jm.blend_labels(mix, ids, num_classes=5)
        dense = -(soft * jax.nn.log_softmax(logits)).sum(axis=1)
        loss = jm.pair_loss(mix, nll, logits, ids)
        hits = jm.mixed_accuracy(mix, jnp.eye(5)[ids], ids)
        return mix, jm.blend(mix, x), labels, loss, dense, hits

    mix, mixed, labels, loss, dense, hits = use(KEY, x)
    expected = shares(mix, SHAPE)
    np.testing.assert_allclose(mixed, loops(mix, x), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(labels, expected, atol=1e-6)  # overlap-correct
    np.testing.assert_allclose(loss, dense, rtol=1e-5)
    same = np.asarray(ids)[:, None] == np.asarray(ids)[None, :]
    np.testing.assert_allclose(hits, (expected * same).sum(axis=1), atol=1e-6)
    assert len({tuple(row) for row in np.round(expected, 4)}) > 1  # rows draw for themselves


@pytest.mark.slow
@samplers
def test_one_key_one_mix_eager_jit_vmap(sampler):
    sample = partial(sampler, shape=SHAPE)
    eager = sample(KEY)
    for other in (jax.jit(sample)(KEY), jax.tree.map(lambda a: a[0], jax.vmap(sample)(KEY[None]))):
        chex.assert_trees_all_close(eager, other, atol=1e-6)
    assert isinstance(eager, tuple) and all(isinstance(layer, jm.Mix) for layer in eager)


@samplers
def test_dtypes_and_a_batch_of_one(sampler):
    mix = sampler(KEY, SHAPE)
    x = jnp.arange(5 * 42, dtype=jnp.uint8).reshape(5, 6, 7)
    exact = loops(mix, np.asarray(x, np.float64))
    assert jm.blend(mix, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    rounded = jm.blend(mix, x, dtype=jnp.uint8)  # once, not once a layer
    assert rounded.dtype == jnp.uint8
    assert np.abs(np.asarray(rounded, np.float64) - exact).max() <= 0.5 + 1e-4
    if all(layer.mask.dtype == jnp.bool_ for layer in mix):
        np.testing.assert_array_equal(jm.select(mix, x), exact.astype(np.uint8))


def test_one_row_is_left_alone_bit_for_bit():
    x, y = jnp.full((1, 6, 7, 2), 0.1), jnp.array([0.3])
    for sampler in (SAMPLERS["ricap"], SAMPLERS["dirichlet"]):
        mix = sampler(KEY, (1, 6, 7))
        np.testing.assert_array_equal(jm.blend(mix, x), x)
        np.testing.assert_array_equal(jm.blend_labels(mix, y), y)


def test_one_trace_for_alphas_and_off():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def labels(alpha):
        mixes = [
            jm.sample_ricap(KEY, SHAPE, alpha=alpha),
            jm.sample_dirichlet(KEY, SHAPE, alpha=alpha),
        ]
        return jnp.stack([jm.blend_labels(m, jnp.arange(5), num_classes=5) for m in mixes])

    for alpha in (0.0, -1.0, 1e-3, 0.3, 1.0, 1e4):
        y = np.asarray(labels(alpha))
        assert np.isfinite(y).all() and (y >= 0).all()
        np.testing.assert_allclose(y.sum(axis=2), 1, atol=1e-6)
        if alpha <= 0:
            np.testing.assert_array_equal(y, np.stack([np.eye(5)] * 2))


def test_keep_and_resize_every_layer():
    mix = SAMPLERS["boxes"](KEY, SHAPE, per="example")
    where = jnp.array([True, True, True, True, False])
    kept = jm.keep(mix, where)
    labels = np.asarray(jm.blend_labels(kept, jnp.arange(5), num_classes=5))
    # Rows 0 to 2 have row 4 among the three before them; only row 3 needs rows 0, 1, 2.
    np.testing.assert_array_equal(labels[[0, 1, 2, 4]], np.eye(5)[[0, 1, 2, 4]])
    assert labels[3, 3] < 1 and labels[:4, 4].max() == 0
    coarse = jm.resize_mix(mix, (3, 7))
    assert [layer.mask.shape[1:] for layer in coarse] == [(3, 7)] * 3


def test_the_top_layer_hides_what_lies_below():
    whole = jnp.ones((1, 4), bool)
    below = jm.Mix(jm.roll(1), whole.at[0, :2].set(False), jnp.full(3, 0.5))
    above = jm.Mix(jm.roll(2), ~whole, jnp.zeros(3))
    labels = jm.blend_labels(jm.overlay(below, above), jnp.arange(3), num_classes=3)
    partner = np.asarray(jm.partner_index(jm.roll(2), 3))
    np.testing.assert_array_equal(labels, np.eye(3)[partner])


def of_several(verb):
    return verb(jm.sample_ricap(KEY, SHAPE), jnp.ones(SHAPE))


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: jm.overlay(), TypeError, "it needs one Mix or more"),
        (lambda: of_several(jm.take_partner), TypeError, "for each"),
        (lambda: of_several(jm.reweigh), TypeError, "for each"),
        (
            lambda: jm.blend(jm.sample_ricap(KEY, SHAPE), jnp.ones(SHAPE), other=jnp.ones(SHAPE)),
            ValueError,
            "other for 3 mixes",
        ),
    ],
)
def test_bad_tuples(call, error, match):
    with pytest.raises(error, match=match):
        call()
