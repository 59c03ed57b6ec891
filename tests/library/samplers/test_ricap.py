"""RICAP."""

import jax
import numpy as np
import pytest
from scipy import stats

import jax_mixup as jm

KEY = jax.random.key(11)


def test_ricap_has_its_law():
    n = 20_000
    mix = jax.jit(lambda key: jm.sample_ricap(key, (n, 64, 64), per="example")[1:])(KEY)
    lower_left = ~np.asarray(mix[0].mask[:, -1, 0])
    lower_right = ~np.asarray(mix[1].mask[:, -1, -1])
    # The last row is below the corner, and the first column left of it, unless a share rounds to
    # all or to nothing.
    p_all = stats.beta(0.3, 0.3).cdf(0.5 / 64)
    for hits in (lower_left, lower_right):
        assert abs(hits.mean() - (1 - p_all) ** 2) < 5 * np.sqrt(0.25 / n)


@pytest.mark.parametrize(
    "shape, options, match",
    [((4, 8), {}, r"\(B, H, W\)"), ((5, 6, 7), {"pairings": (jm.roll(),)}, "needs 3")],
)
def test_bad_shapes_and_pairings(shape, options, match):
    with pytest.raises(ValueError, match=match):
        jm.sample_ricap(KEY, shape, **options)
