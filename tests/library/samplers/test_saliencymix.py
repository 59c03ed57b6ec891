"""SaliencyMix: a box about the partner's peak."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.by_hand import LAMBDAS, MAPS, given
from tests.library.statistics import seed, within


def test_saliencymix_centres_the_box_on_the_partners_peak():
    mix = jax.jit(lambda s: jm.sample_saliencymix(seed(1), s, lam_law=given))(MAPS)
    for i, (kept, lam) in enumerate(zip(np.asarray(mix.mask), mix.lam, strict=True)):
        peak = np.unravel_index(MAPS[5 - i].argmax(), (6, 9))
        expected = np.ones((6, 9), bool)
        sides = [round(n * float(np.sqrt(1 - LAMBDAS[i]))) for n in (6, 9)]
        ends = [
            (max(p - n // 2, 0), max(p - n // 2 + n, 0)) for p, n in zip(peak, sides, strict=True)
        ]
        expected[slice(*ends[0]), slice(*ends[1])] = False
        np.testing.assert_array_equal(kept, expected)
        assert lam == np.float32(expected.sum()) / np.float32(54)


def test_the_share_pasted_by_saliencymix():
    s = jnp.zeros((4000, 64)).at[:, 32].set(1.0)
    lam = jax.jit(lambda s, alpha: jm.sample_saliencymix(seed(2), s, alpha=alpha).lam)
    within(lam(s, 1.0), 0.5)  # in the middle nothing is cut off
    within((lam(s, 3.0) - 0.5) ** 2, 1 / 28)  # the variance of Beta(3, 3)
    within(lam(s.at[:, 0].set(2.0), 1.0), 0.75)  # at the border half is
    assert (lam(s, 0.0) == 1).all()
