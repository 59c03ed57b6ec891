"""PointCutMix: points replaced by the partner's that match them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import _options
from tests.library.samplers.clouds import LENGTHS, PARTNER, mixed, numbers, scans
from tests.library.statistics import seed, within

N = 24


def shapes():
    return scans(N)


@pytest.mark.parametrize("region", ["nearest", "random"])
def test_the_right_points_are_replaced_by_their_matches(monkeypatch, rng, region):
    points, valid = shapes()
    lam = np.array([0.5, 0.2, 0.0, 0.75, 0.5, 1.0], np.float32)
    u = rng.random((6, 1 if region == "nearest" else N)).astype(np.float32)
    drawn = lambda alpha: jnp.asarray(lam)
    monkeypatch.setattr(_options, "law_and_uniforms", lambda *_: (drawn, jnp.asarray(u)))
    mix, source = jm.sample_pointcutmix(seed(1), points, valid, region=region, pairing=PARTNER)
    safe = np.where(valid[..., None], points, 0)
    for i, p in enumerate(PARTNER):
        distance = np.linalg.norm(safe[i][:, None] - safe[p][None], axis=-1)
        distance = np.where(valid[i][:, None] & valid[p][None], distance, np.inf)
        match = np.asarray(jm.assign(distance))
        np.testing.assert_array_equal(source[i], match)
        matched = match >= 0
        assert matched.sum() == min(LENGTHS[i], LENGTHS[p]) and not matched[~valid[i]].any()
        score = u[i]
        if region == "nearest" and LENGTHS[i]:
            centre = points[i, int(u[i, 0] * LENGTHS[i])]
            score = -np.linalg.norm(safe[i] - centre, axis=-1)
        k = min(round((1 - float(lam[i])) * LENGTHS[i]), matched.sum())
        order = sorted(np.flatnonzero(matched), key=lambda t: -score[t])
        assert set(np.flatnonzero(~np.asarray(mix.mask[i]))) == set(order[:k])
        expected = (LENGTHS[i] - k) / LENGTHS[i] if LENGTHS[i] else 1.0
        np.testing.assert_allclose(mix.lam[i], expected, rtol=1e-6)
    for i, (n, x) in enumerate(mixed(mix, source, points, valid)):
        assert len(n) == len(set(n)) == LENGTHS[i]  # as many as before, and none twice
        np.testing.assert_array_equal(x, points.reshape(-1, 3)[n])
        assert set(n // N) <= {i, PARTNER[i]}
    assert set(mixed(mix, source, points, valid)[3][0]) <= set(numbers(valid)[3])


def test_the_fraction_and_the_places_are_uniform():
    """λ has its distribution; the centre, and random places, are any of the valid points."""
    line = jnp.broadcast_to(jnp.arange(5.0)[None, :, None], (6000, 5, 1))
    valid = jnp.broadcast_to(jnp.arange(5) < 4, (6000, 5))

    @jax.jit
    def draw(key, alpha):
        law = jm.constant(0.75)
        near = jm.sample_pointcutmix(key, line, valid, lam_law=law)[0]
        any_ = jm.sample_pointcutmix(key, line, valid, lam_law=law, region="random")[0]
        return near.mask, any_.mask, jm.sample_pointcutmix(key, line, valid, alpha=alpha)[0].lam

    near, any_, lam = draw(seed(2), 1.0)
    for mask in (near, any_):
        gone = ~np.asarray(mask)
        assert (gone.sum(1) == 1).all() and not gone[:, 4].any()
        for column in gone.T[:4]:
            within(column, 1 / 4)
    within(lam, 1 / 2)
    within(np.asarray(lam) == 0.5, 1 / 4)  # of 0, ¼, ½, ¾ and 1 the ends are half as likely
    assert (draw(seed(2), 0.0)[2] == 1).all()


def test_bad_shapes():
    points, valid = jnp.ones((2, 5, 3)), jnp.ones((2, 5), bool)
    with pytest.raises(ValueError, match="region='near'; it needs one of 'nearest', 'random'"):
        jm.sample_pointcutmix(seed(1), points, valid, region="near")
    with pytest.raises(ValueError, match="points of shape"):
        jm.sample_pointcutmix(seed(1), points[0], valid)
    with pytest.raises(ValueError, match="alpha=-1"):
        jm.sample_pointcutmix(seed(1), points, valid, alpha=-1.0)
