"""GuidedMixup: weights by both maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import MAPS, total
from tests.library.statistics import seed


def test_guidedmixup_weighs_by_both_maps():
    s = MAPS.copy()
    s[0, :3] = s[5, :2] = 0
    mix = jax.jit(lambda s: jm.sample_guidedmixup(seed(4), s, blur=0.0))(s)
    share = total(s.astype(np.float64))
    for i in range(6):
        for place in np.ndindex(6, 9):
            a, b = share[i][place], share[5 - i][place]
            expected = a / (a + b) if a + b else 0.5
            assert mix.mask[i][place] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(mix.lam, mix.mask.mean((1, 2)), rtol=1e-6)
    blurred = jax.jit(lambda s, pairs: jm.sample_guidedmixup(seed(4), s, pairing=pairs))
    back = blurred(s, jnp.arange(6)[::-1]).mask
    np.testing.assert_allclose(back + back[::-1], 1, rtol=1e-5)  # a position is shared out
    assert np.abs(np.diff(back, axis=2)).max() < np.abs(np.diff(mix.mask, axis=2)).max() / 2
