"""Weights of several examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jax_mixup as jm

KEY = jax.random.key(11)


def test_dirichlet_has_its_law():
    n, k = 20_000, 3
    mix = jax.jit(lambda key: jm.sample_dirichlet(key, (n,), k=k, alpha=0.7, per="example"))(KEY)
    first, second = (np.asarray(layer.lam, np.float64) for layer in mix)
    weights = np.stack([first * second, (1 - first) * second, 1 - second])
    law = stats.beta(0.7, 0.7 * (k - 1))  # of each weight
    for weight in weights:
        assert stats.kstest(weight, law.cdf).pvalue > 1e-3
    cov = np.cov(weights)[0, 1]
    expected = -(1 / 9) / (0.7 * k + 1)
    assert abs(cov - expected) < 5 * 0.1 / np.sqrt(n)


def weights_of(mix):
    """The weights [B, k] of a mix by roll(1), roll(2), …, from its labels."""
    batch = len(mix[0].lam)
    labels = np.asarray(jm.blend_labels(mix, jnp.arange(batch), num_classes=batch))
    return np.stack([np.diagonal(np.roll(labels, j, axis=1)) for j in range(len(mix) + 1)], axis=1)


def test_the_largest_weight_first():
    draw = lambda key, sort: jm.sample_dirichlet(key, (500,), k=4, sort=sort, per="example")
    as_drawn, sorted_ = (weights_of(jax.jit(draw, static_argnums=1)(KEY, s)) for s in (False, True))
    np.testing.assert_allclose(sorted_, -np.sort(-as_drawn, axis=1), atol=1e-6)
    assert (np.diff(sorted_, axis=1) <= 1e-6).all() and (np.diff(as_drawn, axis=1) > 0.1).any()


@pytest.mark.parametrize("sort", [False, True], ids=["as drawn", "sorted"])
def test_a_random_number_of_examples(sort):
    """In one compile, with the distribution of a Dirichlet of as many."""
    n = 4000

    @jax.jit
    def draw(key, count, alpha):
        options = {"k": 4, "count": count, "sort": sort, "per": "example"}
        return jm.sample_dirichlet(key, (n,), alpha=alpha, **options)

    count = np.arange(n, dtype=np.int32) % 4 + 1
    lam = [np.asarray(layer.lam, np.float64) for layer in draw(KEY, count, 0.7)]
    own = lam[0] * lam[1] * lam[2]
    partners = [(1 - lam[0]) * lam[1] * lam[2], (1 - lam[1]) * lam[2], 1 - lam[2]]
    weights = np.stack([own, *partners], axis=1)
    assert (weights[np.arange(4)[None] >= count[:, None]] == 0).all()
    assert (own[count == 1] == 1).all()
    for k in (2, 3, 4):
        largest = weights[count == k].max(axis=1)
        expected = np.random.default_rng(k).dirichlet([0.7] * k, 4000).max(axis=1)
        assert stats.ks_2samp(largest, expected).pvalue > 1e-3
    even = draw(KEY, count, jnp.inf)
    np.testing.assert_allclose(even[0].lam[count == 3], 1 / 2, rtol=1e-6)
    np.testing.assert_allclose(even[1].lam[count == 3], 2 / 3, rtol=1e-6)
    assert (draw(KEY, count, 0.0)[0].lam == 1).all()
    assert draw._cache_size() <= 2  # alpha is a weakly typed float in all of these


@pytest.mark.parametrize(
    "options, match",
    [
        ({"k": 1}, "k=1"),
        ({"per": "pair"}, "'batch', 'group', 'example'"),
        ({"count": 0}, "count=0.0; it needs an int from 1 to 3"),
        ({"count": np.array([1, 2, 3, 4]), "per": "example"}, "count=4.0"),
        ({"count": np.array([1, 2, 3, 3])}, "count of shape"),
        ({"groups": 2}, "groups of 2 examples and mixes 3"),
        ({"groups": 3, "k": 2}, "groups of 1 examples and mixes 2"),
        ({"groups": 2, "k": 2, "pairings": (jm.roll(),)}, "groups=2 and pairings"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        jm.sample_dirichlet(KEY, (4,), **options)
