"""PolarMix: a sector of another scan, and its objects, turned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import _options
from tests.library.samplers.clouds import PARTNER, numbers, scans
from tests.library.statistics import seed, within


def reference(points, valid, objects, i, p, u, copies):
    """Point by point: (numbers that stay, (number, point) that come)."""
    start, number = (u[2] - 1) * np.pi, numbers(valid)

    def inside(x):
        return u[0] < 0.5 and start < -np.arctan2(x[1], x[0]) < start + np.pi

    angles = [0, *((j + u[3 + j]) * 2 * np.pi / copies for j in range(copies - 1))]
    own = [number[i, t] for t in np.flatnonzero(valid[i]) if not inside(points[i, t])]
    come = []
    for copy, angle in enumerate(angles):
        for t in np.flatnonzero(valid[p]):
            x, y, z = points[p, t]
            if (objects[p, t] and u[1] < 0.8) or (copy == 0 and inside(points[p, t])):
                flat = (x + 1j * y) * np.exp(1j * angle)
                come.append((number[p, t], (flat.real, flat.imag, z)))
    return own, come


@pytest.mark.parametrize("copies", [1, 3])
def test_a_sector_and_turned_objects_come(monkeypatch, rng, copies):
    points, valid = scans(120)
    objects = rng.random(valid.shape) < 0.4
    u = rng.random((6, 2 + copies)).astype(np.float32)
    u[:, 0], u[:, 1] = [0.1, 0.9, 0.3, 0.2, 0.4, 0.6], [0.1, 0.3, 0.9, 0.5, 0.2, 0.95]
    monkeypatch.setattr(_options, "law_and_uniforms", lambda *_: (jnp.ones_like, jnp.asarray(u)))
    mix, source, angle = jm.sample_polarmix(
        seed(1),
        points,
        valid,
        instances=objects,
        swap_prob=0.5,
        paste_prob=0.8,
        copies=copies,
        pairing=PARTNER,
    )
    cloud = {"number": numbers(valid), "points": points, "valid": valid}
    other = jm.place_partner(mix, cloud, source)
    other["points"] = jm.rotate_points(other["points"], angle)
    cloud = jax.tree.map(np.asarray, jm.select(mix, cloud, other=other))
    for i, p in enumerate(PARTNER):
        own, come = reference(points, valid, objects, i, p, u[i], copies)
        on = cloud["valid"][i]
        new = on & ~np.asarray(mix.mask[i])
        assert sorted(cloud["number"][i][on & ~new]) == sorted(own)
        assert cloud["number"][i][new].tolist() == [k for k, _ in come]  # in their order
        if come:
            np.testing.assert_allclose(
                cloud["points"][i][new], [x for _, x in come], atol=2e-4, rtol=1e-5
            )
        whole = len(own) + len(come)
        np.testing.assert_allclose(mix.lam[i], len(own) / whole if whole else 1.0, rtol=1e-6)
    assert (np.asarray(mix.lam) < 1).any() and angle.shape == (6, 120)


def test_the_sector_is_half_of_the_scan_with_the_x_axis_in_it():
    """At angle v from the x axis the partner is seen with probability 1 - |v| / π."""
    around = np.array([0.0, 0.5, -0.5, 0.75, 0.999]) * np.pi
    points = np.stack([np.cos(around), np.sin(around), 0 * around], axis=-1)
    points = np.broadcast_to(points.astype(np.float32), (8000, 5, 3))
    valid = jnp.ones((8000, 5), bool)
    draw = jax.jit(lambda key, prob: jm.sample_polarmix(key, points, valid, swap_prob=prob))
    mix, _, angle = draw(seed(2), 1.0)
    gone = ~np.asarray(mix.mask)
    assert gone[:, 0].all() and not angle.any()
    for column, prob in zip(gone.T[1:], (0.5, 0.5, 0.25, 0.001), strict=True):
        within(column, prob)
    assert (gone[:, 1] ^ gone[:, 2]).all()  # opposite directions
    within(~np.asarray(draw(seed(3), 0.3)[0].mask[:, 0]), 0.3)
    assert np.asarray(draw(seed(3), 0.0)[0].mask).all()


def test_copies_are_turned_within_their_thirds():
    points = jnp.broadcast_to(jnp.array([[1.0, 0.0, 0.0]] + [[0.0] * 3] * 5), (8000, 6, 3))
    valid = jnp.broadcast_to(jnp.arange(6) < 1, (8000, 6))
    draw = jax.jit(
        lambda key, prob: jm.sample_polarmix(
            key, points, valid, instances=valid, swap_prob=0.0, paste_prob=prob
        )
    )
    mix, source, angle = draw(seed(4), 1.0)
    assert (source == jnp.array([[-1, 0, 0, 0, -1, -1]])).all() and (mix.lam == 0.25).all()
    turned = np.asarray(angle[:, 1:4]) / (2 * np.pi / 3)
    assert (turned[:, 0] == 0).all() and not angle[:, [0, 4, 5]].any()
    for j in (1, 2):
        assert (turned[:, j] >= j - 1).all() and (turned[:, j] <= j).all()
        within(turned[:, j], j - 0.5)
    within(np.asarray(draw(seed(4), 0.7)[0].lam) < 1, 0.7)


def test_bad_scans():
    points, valid = jnp.ones((2, 5, 3)), jnp.ones((2, 5), bool)
    with pytest.raises(ValueError, match="instances of shape"):
        jm.sample_polarmix(seed(1), points, valid, instances=jnp.ones((2, 5), int))
    with pytest.raises(ValueError, match=r"swap_prob=1\.5; it needs a number in \[0, 1\]"):
        jm.sample_polarmix(seed(1), points, valid, swap_prob=1.5)
    with pytest.raises(ValueError, match=r"paste_prob=-0\.5"):
        jm.sample_polarmix(seed(1), points, valid, paste_prob=-0.5)
    with pytest.raises(ValueError, match="copies=0"):
        jm.sample_polarmix(seed(1), points, valid, copies=0)
