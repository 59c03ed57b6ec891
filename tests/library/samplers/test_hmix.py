"""HMix between CutMix and mixup."""

from functools import partial

import jax
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import _geometry
from tests.library.statistics import draws, seed


@pytest.mark.parametrize("box", _geometry.BOXES)
def test_hmix_is_a_box_of_some_and_a_mixup_of_the_rest(box):
    sampler = partial(jm.sample_hmix, box=box, ratio=0.4, lam_law=jm.constant(0.6))
    mix = draws(sampler, (20, 10), 300)
    np.testing.assert_allclose(mix.lam, 0.6, rtol=1e-6)  # however much of the box is cut off
    side = np.sqrt(0.4 * 0.4)
    for mask in np.asarray(mix.mask):
        rows, columns = (mask == 0).any(axis=1), (mask == 0).any(axis=0)
        np.testing.assert_array_equal(mask == 0, rows[:, None] & columns[None, :])
        assert rows.sum() <= round(side * 20) and columns.sum() <= round(side * 10)
        assert box in ("clipped", "even") or rows.sum() * columns.sum() == round(side * 20) * round(
            side * 10
        )
        np.testing.assert_allclose(mask[mask > 0], 0.6 * 200 / (mask > 0).sum(), rtol=1e-6)


def test_hmix_lies_between_mixup_and_cutmix():
    shape, law = (5, 8, 8), jm.constant(0.75)

    @jax.jit
    def found():
        options = {"per": "example", "lam_law": law, "box": "inside"}
        cut = jm.sample_cutmix(seed(8), shape, **options)
        ends = [jm.sample_hmix(seed(8), shape, ratio=r, **options) for r in (1.0, 0.0)]
        line = partial(jm.sample_hmix, seed(8), (2, 3), ratio=1.0, box="corner")
        return cut, *ends, line(lam_law=jm.constant(0.0)), line(lam_law=jm.constant(0.4))

    cut, box, mixup, whole, rounded = found()
    np.testing.assert_array_equal(box.mask, cut.mask)
    np.testing.assert_array_equal(box.lam, cut.lam)
    assert (mixup.mask == 0.75).all()
    assert (whole.mask == 0).all() and (whole.lam == 0).all()
    np.testing.assert_array_equal(rounded.mask, [[1, 0, 0]])  # 2 of 1.8 positions: no mixup is left
    assert rounded.lam[0] == np.float32(1 / 3)
    with pytest.raises(ValueError, match="ratio=2"):
        jm.sample_hmix(seed(8), shape, ratio=2.0)
