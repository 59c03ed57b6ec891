"""SnapMix: weights by what each box holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import MAPS, total
from tests.library.statistics import seed, within


def test_snapmix_weighs_by_what_each_box_holds():
    cams = MAPS - 0.4  # activations may be negative
    mix, (start, stop), both = jax.jit(lambda c: jm.sample_snapmix(seed(6), c, alpha=1.0))(cams)
    mass = total(MAPS - MAPS.min((1, 2), keepdims=True))
    mask = np.asarray(mix.mask)
    for i in range(6):
        rows, columns = (np.flatnonzero(~mask[i].all(axis=axis)) for axis in (1, 0))
        box = np.ones((6, 9), bool)
        box[np.ix_(rows, columns)] = False
        np.testing.assert_array_equal(mask[i], box)
        given = mass[5 - i][start[i, 0] : stop[i, 0], start[i, 1] : stop[i, 1]].sum()
        if box.all():
            given = 0.0
            assert start[i].tolist() == [0, 0] and stop[i].tolist() == [6, 9]
        kept = mass[i][mask[i]].sum()
        assert both[i] == pytest.approx(kept + given, abs=1e-5)
        assert mix.lam[i] == pytest.approx(kept / (kept + given), abs=1e-5)
    x = jnp.broadcast_to(jnp.arange(6.0)[:, None, None, None], (6, 6, 9, 1))
    put = lambda x: jm.blend(mix, x, other=jm.fit_partner(mix, x, source=(start, stop)))
    mixed = jax.jit(put)(x)
    np.testing.assert_allclose(mixed, jnp.where(mix.mask[..., None], x, x[::-1]), atol=1e-5)
    labels, ones = jnp.arange(6), jnp.ones((6, 6))
    loss = both * jm.pair_loss(mix, lambda o, y: y.astype(jnp.float32), ones, labels)
    own, both = np.asarray(both * mix.lam), np.asarray(both)  # the authors' two weights
    labels = np.arange(6)
    np.testing.assert_allclose(loss, own * labels + (both - own) * labels[::-1], rtol=1e-5)


def test_the_boxes_of_snapmix():
    n = 4000
    draw = jax.jit(lambda key, alpha: jm.sample_snapmix(key, jnp.ones((n, 1, 64)), alpha=alpha))
    mix, (start, stop), both = draw(seed(7), 1.0)
    given = np.asarray((stop - start)[:, 1]) / 64  # an axis of one position is cut whole or not
    cut = 1 - np.asarray(mix.mask).mean((1, 2))
    on = cut > 0
    np.testing.assert_allclose(both[on], 1 - cut[on] + given[on], atol=1e-5)
    within((cut[on] - cut[on].mean()) * (given[on] - given[on].mean()), 0.0)  # two λ
    within(cut[on] - given[on], 0.0)  # of one distribution
    off, _, both = draw(seed(7), 0.0)
    assert off.mask.all() and (off.lam == 1).all()
    np.testing.assert_allclose(both, 1, rtol=1e-5)
