"""SSMix: spans of texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import seed


def spans(n=400, size=9, **options):
    lengths = jnp.asarray(np.random.default_rng(1).integers(0, size + 1, n))
    # Lengths as an argument: XLA rounds a division by a constant otherwise.
    draw = jax.jit(lambda key, lengths: jm.sample_span(key, lengths, size, **options))
    mix, source = draw(seed(3), lengths)
    return np.asarray(lengths), mix, np.asarray(source)


def test_a_span_comes_from_within_and_goes_within():
    lengths, mix, source = spans()
    partner, mask = lengths[::-1], np.asarray(mix.mask)
    for n, other, kept, place, lam in zip(lengths, partner, mask, source, mix.lam, strict=True):
        cut = np.flatnonzero(~kept)
        assert cut.size <= min(n, other)
        assert lam == (np.float32(n - cut.size) / np.float32(n) if n else 1)
        np.testing.assert_array_equal(np.diff(cut), 1)  # one piece
        np.testing.assert_array_equal(np.diff(place[cut]), 1)
        assert (cut < n).all() and (place[cut] >= 0).all() and (place[cut] < other).all()
        np.testing.assert_array_equal(place[kept], np.flatnonzero(kept))
    assert len({tuple(p[~k][:1]) for p, k in zip(source, mask, strict=True)}) > 5
    off = spans(alpha=0.0)[1]
    assert off.mask.all() and (off.lam == 1).all()


def test_saliency_loses_the_least_and_gains_the_most():
    worth = jnp.array([[3.0, 0, 1, 9, 0, 0], [1.0, 8, 7, 2, 5, 9]])
    lengths = jnp.array([4, 5])  # what comes after does not count, salient as it is
    mix, source = jm.sample_span(seed(1), lengths, 6, lam_law=jm.constant(0.5), saliency=worth)
    assert mix.mask.tolist()[0] == [True, False, False, True, True, True]  # 0 + 1
    assert source[0, 1:3].tolist() == [1, 2]  # 8 + 7
    assert mix.mask.tolist()[1] == [True, True, True, False, False, True]  # 2 + 5
    assert source[1, 3:5].tolist() == [2, 3]  # 1 + 9
    with pytest.raises(ValueError, match="saliency of shape"):
        jm.sample_span(seed(1), lengths, 6, saliency=worth[:, :5])
    with pytest.raises(TypeError, match="lengths of shape"):
        jm.sample_span(seed(1), jnp.ones((2, 2), int), 6)
