"""Saliency grafting: the partner's salient cells."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.by_hand import total
from tests.library.statistics import seed, within


def test_grafting_draws_among_the_partners_salient_cells(rng):
    n, share = 3000, 0.3
    s = rng.gamma(1.0, size=(n, 8)).astype(np.float32)
    s[:2] = 0
    draw = jax.jit(
        lambda s, law: jm.sample_grafting(seed(5), s, grid=(4,), lam_law=lambda key, shape: law)
    )
    mix = draw(s, jnp.full(n, share))
    mask, other = np.asarray(mix.mask), s[::-1]
    means = other.reshape(n, 4, 2).mean(-1)
    candidate = means >= means.mean(1, keepdims=True)
    cells = mask[:, ::2]
    np.testing.assert_array_equal(mask[:, 1::2], cells)
    assert cells[~candidate].all()
    within(cells[candidate], share)
    both = candidate[:, 0] & candidate[:, 1]
    within((cells[both, 0] - share) * (cells[both, 1] - share), 0.0)
    own, other = (
        np.where(s.any(1, keepdims=True), s, 1),
        np.where(other.any(1, keepdims=True), other, 1),
    )
    own, other = (mask * total(own)).sum(1), (~mask * total(other)).sum(1)
    np.testing.assert_allclose(mix.lam, own / (own + other), atol=1e-5)
    assert (draw(s, jnp.ones(n)).lam == 1).all()
    every = partial(jm.sample_grafting, grid=(4,), threshold=0.0, lam_law=jm.constant(0.0))
    assert not jax.jit(every)(seed(5), s).mask.any()


def test_where_all_is_as_salient_the_label_is_of_the_mask_that_is_blended():
    """Each mean is at the threshold but for its rounding, which must be the same for both."""
    draw = jax.jit(partial(jm.sample_grafting, grid=(3, 4), threshold=1.0))
    for i in range(30):
        saliency = np.full((4, 12, 12), np.random.default_rng(i).uniform(), np.float32)
        mix = draw(seed(i), saliency)
        np.testing.assert_allclose(mix.lam, np.asarray(mix.mask).mean((1, 2)), atol=1e-5)
