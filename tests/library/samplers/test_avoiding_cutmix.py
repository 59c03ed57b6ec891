"""CutMix that avoids objects: of several boxes, the one that hides least."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import _options
from tests.library.statistics import seed, within

K = 4


def reference(s, lam, u, box):
    """Try all boxes, and count what each hides."""
    rank, spatial = s.ndim - 1, np.array(s.shape[1:])
    masks = []
    for i in range(len(s)):
        side = np.round(spatial * (1 - lam[i]) ** (1 / rank))
        found = []
        for centre in u[i].reshape(K, rank):
            inside = np.floor(centre * (spatial - side + 1))
            start = inside if box == "inside" else np.floor(centre * spatial - side / 2 + 0.5)
            ends = np.clip([start, start + side], 0, spatial).astype(int)
            mask = np.ones(s.shape[1:], bool)
            mask[tuple(slice(a, b) for a, b in ends.T)] = False
            found.append(mask)
        masks.append(found[np.argmin([s[i][~mask].sum() for mask in found])])
    return np.stack(masks)


@pytest.mark.parametrize("box", ["inside", "clipped"])
@pytest.mark.parametrize("shape", [(11,), (6, 9), (3, 4, 5)], ids=str)
def test_the_box_is_the_one_that_hides_least(monkeypatch, rng, shape, box):
    s = rng.random((6, *shape)) < 0.3  # whole numbers, so that sums are exact
    lam = np.array([0, 0.3, 0.5, 0.77, 0.95, 1], np.float32)
    u = rng.random((6, K * len(shape)), np.float32)
    drawn = lambda alpha: jnp.asarray(lam)
    monkeypatch.setattr(_options, "law_and_uniforms", lambda *_: (drawn, jnp.asarray(u)))
    mix = jm.sample_avoiding_cutmix(seed(1), s, candidates=K, box=box)
    expected = reference(s, lam, u, box)
    np.testing.assert_array_equal(mix.mask, expected)
    counts = expected.reshape(6, -1).sum(1).astype(np.float32)
    np.testing.assert_array_equal(mix.lam, counts / np.float32(np.prod(shape)))


def test_what_is_hidden_is_the_least_of_k_and_lambda_keeps_its_distribution():
    """In a row of ten, what is hidden is the position itself: the least of k uniform ones."""
    s = jnp.broadcast_to(jnp.arange(10.0)[None], (8000, 10))

    @jax.jit
    def draw(key, alpha):
        law = jm.constant(0.9)
        least = [
            (~jm.sample_avoiding_cutmix(key, s, candidates=k, lam_law=law).mask).argmax(1)
            for k in (1, 3)
        ]
        return least, jm.sample_avoiding_cutmix(key, s, alpha=alpha).lam

    (one, three), lam = draw(seed(4), 3.0)
    for place in range(10):
        within(one == place, 1 / 10)
        within(three == place, ((10 - place) / 10) ** 3 - ((9 - place) / 10) ** 3)
    within(lam, 1 / 2)
    within((lam - 0.5) ** 2, 1 / 28 + 1 / 1200)  # of Beta(3, 3), and of rounding to tenths


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_counts_as_0(bad):
    s = np.zeros((64, 8, 8), np.float32)
    s[:, 2:, 4:] = 1
    law = jm.constant(0.75)
    clean, found = (
        jm.sample_avoiding_cutmix(seed(5), x, candidates=16, lam_law=law)
        for x in (s, np.where(np.arange(64).reshape(8, 8) == 7, bad, s))
    )
    np.testing.assert_array_equal(found.mask, clean.mask)


def test_bad_candidates():
    with pytest.raises(ValueError, match="candidates=0"):
        jm.sample_avoiding_cutmix(seed(1), jnp.ones((2, 3)), candidates=0)
    with pytest.raises(ValueError, match="spatial axis"):
        jm.sample_avoiding_cutmix(seed(1), jnp.ones(3))
    with pytest.raises(ValueError, match=r"map of shape \(2, 5, 4, 1\).*channels.*s\[..., 0\]"):
        jm.sample_avoiding_cutmix(seed(1), jnp.ones((2, 5, 4, 1)))
