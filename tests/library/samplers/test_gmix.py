"""GMix: a Gaussian spot."""

import jax
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import gaussian
from tests.library.statistics import seed


@pytest.mark.parametrize("spatial", [(9,), (4, 6), (3, 4, 5)])
def test_gmix_is_the_formula_around_some_position(spatial):
    mix = jax.jit(
        lambda key: {
            lam: jm.sample_gmix(key, (3, *spatial), lam_law=jm.constant(lam), per="example")
            for lam in (0.0, 0.3, 0.8, 1.0)
        }
    )(seed(spatial))
    for lam, found in mix.items():
        for mask, share in zip(np.asarray(found.mask), found.lam, strict=True):
            low = lam < 0.5
            centre = np.unravel_index((mask if low else -mask).argmax(), spatial)
            smaller = min(lam, 1 - lam)
            spot = gaussian(spatial, centre, smaller ** (1 / len(spatial))) if smaller else 0 * mask
            expected = spot if low else 1 - spot
            np.testing.assert_allclose(mask, expected, atol=1e-6)
            np.testing.assert_allclose(share, expected.mean(), rtol=1e-5)
