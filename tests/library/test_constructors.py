"""Mixes that are not drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm


def test_no_mix_gives_back_what_it_is_given():
    mix = jm.no_mix(3)
    for x in (
        jnp.arange(24, dtype=jnp.uint8).reshape(3, 2, 2, 2),
        jnp.array([[jnp.nan, 1.5]] * 3, jnp.bfloat16),
    ):
        same = jm.blend(mix, x, dtype=x.dtype)
        assert same.dtype == x.dtype
        np.testing.assert_array_equal(same.astype(jnp.float32), x.astype(jnp.float32))
    ids = jnp.array([4, 255, 0])
    np.testing.assert_array_equal(jm.select(mix, ids), ids)
    np.testing.assert_array_equal(
        jm.blend_labels(mix, ids, num_classes=5), jax.nn.one_hot(ids, 5, dtype=jnp.float32)
    )
    logits = jnp.eye(5)[jnp.array([4, 1, 2])]
    np.testing.assert_array_equal(jm.mixed_accuracy(mix, logits, ids), [1, 0, 0])
    loss = jm.pair_loss(mix, lambda o, t: (o - t) ** 2, jnp.ones(3), jnp.array([1.0, 3.0, 2.0]))
    np.testing.assert_array_equal(loss, [0, 4, 1])
    assert jm.resize_mix(mix, (4, 4)).mask.dtype == bool
    for wrong in (0, -2):
        with pytest.raises(ValueError, match="no_mix got batch"):
            jm.no_mix(wrong)


def test_weights_are_those_of_the_rows():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 6).astype(np.float32)
    weights[1] *= 7  # they need not sum to 1
    weights[2] = [0, 0, 1, 0]
    weights[3] = 0  # not mixed
    weights[4, 2] = np.nan  # not mixed
    weights[5, 1] = -3  # counts as 0
    expected = np.maximum(weights, 0)
    expected[3:5] = [1, 0, 0, 0]
    expected /= expected.sum(axis=1, keepdims=True)

    def rows(pairings):
        index = [np.arange(6)] + [np.asarray(jm.partner_index(p, 6)) for p in pairings]
        out = np.zeros((6, 6))
        for j, partner in enumerate(index):
            out[np.arange(6), partner] += expected[:, j]
        return out

    pairings = (jm.reverse(), jnp.array([1, 0, 3, 2, 5, 4]), jm.roll(2))
    for given, options in (
        (pairings, {"pairings": pairings}),
        (tuple(jm.roll(i) for i in (1, 2, 3)), {}),
    ):
        mix = jax.jit(lambda w, o=options: jm.from_weights(w, **o))(weights)
        labels = jm.blend_labels(mix, jnp.arange(6), num_classes=6)
        np.testing.assert_allclose(labels, rows(given), atol=1e-6)
        x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
        np.testing.assert_allclose(jm.blend(mix, x), rows(given) @ x, atol=1e-5)


def test_groups_of_the_default_pairings():
    mix = jm.from_weights(jnp.ones((8, 3)), groups=2)
    assert [layer.partner.groups for layer in mix] == [2, 2]
    assert mix[0].partner.rule == "roll" and [layer.partner.shift for layer in mix] == [1, 2]


@pytest.mark.parametrize(
    "weights, options, error, match",
    [
        (jnp.ones((4, 3), int), {}, TypeError, "int32; it needs floats"),
        (jnp.ones(4), {}, ValueError, r"shape \(4,\); it needs \(B, k\)"),
        (jnp.ones((4, 1)), {}, ValueError, r"shape \(4, 1\); it needs \(B, k\)"),
        (jnp.ones((8, 5)), {"groups": 2}, ValueError, "groups of 4 examples and mixes 5"),
        (jnp.ones((8, 3)), {"pairings": (jm.roll(),)}, ValueError, "1 pairings; it needs 2"),
        (
            jnp.ones((8, 2)),
            {"pairings": (jm.roll(),), "groups": 2},
            ValueError,
            "groups=2 and pairings; it needs one of them",
        ),
    ],
)
def test_wrong_weights(weights, options, error, match):
    with pytest.raises(error, match=match):
        jm.from_weights(weights, **options)
