"""Weights of several examples."""

import jax
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


@pytest.mark.parametrize(
    "options, match", [({"k": 1}, "k=1"), ({"per": "pair"}, "'batch', 'example'")]
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        jm.sample_dirichlet(KEY, (4,), **options)
