"""LaserMix: areas of inclination from two scans in turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import _options
from tests.library.samplers.clouds import LENGTHS, PARTNER, mixed, numbers, scans, share
from tests.library.statistics import seed, within

AREAS = (3, 4, 6)


def reference(points, valid, partner, chosen, sectors):
    """Point by point: the numbers of the union."""

    def odd(x, k):  # fmt: skip
        pitch = np.degrees(np.arctan2(x[2], np.hypot(x[0], x[1])))
        area = np.clip(np.floor((3 - pitch) / 28 * k), 0, k - 1)
        return (area + np.floor((np.arctan2(x[1], x[0]) + np.pi) / (2 * np.pi) * sectors)) % 2 == 1

    number = numbers(valid)
    for i, p in enumerate(partner):
        own = [number[i, t] for t in np.flatnonzero(valid[i]) if not odd(points[i, t], chosen[i])]
        come = [number[p, t] for t in np.flatnonzero(valid[p]) if odd(points[p, t], chosen[i])]
        yield own, come


@pytest.mark.parametrize("sectors", [1, 4])
def test_even_areas_are_the_examples_own_and_odd_ones_the_partners(monkeypatch, sectors):
    points, valid = scans()
    which = np.array([0, 2, 1, 0, 2, 1])
    u = jnp.asarray((which + 0.5) / 3, jnp.float32)[:, None]
    monkeypatch.setattr(_options, "law_and_uniforms", lambda *_: (jnp.ones_like, u))
    mix, source = jm.sample_lasermix(
        seed(1), points, valid, areas=AREAS, sectors=sectors, pairing=PARTNER
    )
    found = mixed(mix, source, points, valid)
    expected = reference(points, valid, PARTNER, np.array(AREAS)[which], sectors)
    for i, ((n, x), (own, come)) in enumerate(zip(found, expected, strict=True)):
        assert sorted(n) == sorted(own + come)
        assert set(numbers(valid)[i][np.asarray(mix.mask[i])]) == set(own)
        flat = points.reshape(-1, 3)
        np.testing.assert_array_equal(x, flat[n])
    others = np.arange(6) != 3
    expected = np.array(share(valid, found))
    np.testing.assert_allclose(mix.lam[others], expected[others], rtol=1e-6)
    assert mix.lam[3] < 1 and sorted(found[3][0]) == sorted(numbers(valid)[3, : LENGTHS[3]])
    assert mix.lam[4] == 0 and mix.mask.dtype == bool and source.dtype == jnp.int32


def test_of_more_points_than_fit_every_few_come():
    """A full cloud whose partner has more points in odd areas than there is room for."""
    low = np.radians(np.where(np.arange(12) < 9, -18.0, -4.0))  # nine in the lower of two areas
    own = np.radians(np.where(np.arange(12) < 3, -18.0, -4.0))
    pitch = np.stack([own, low])
    points = np.stack([np.cos(pitch), 0 * pitch, np.sin(pitch)], axis=-1)
    valid = np.ones((2, 12), bool)
    mix, source = jm.sample_lasermix(seed(1), points.astype(np.float32), valid, areas=(2,))
    assert source[0].tolist() == [0, 3, 6] + [-1] * 9 and mix.lam[0] == 0.75
    assert source[1].tolist() == [0, 1, 2] + [-1] * 9 and mix.lam[1] == 0.5
    found = mixed(mix, source, points, valid)
    assert [len(n) for n, _ in found] == [12, 6]


def test_numbers_of_areas_are_equally_likely():
    """A point just above the middle of the range: its area is odd for 3 and 4 areas, not for 6."""
    pitch = np.radians(np.tile(-10.0, 9000))
    points = np.stack([np.cos(pitch), 0 * pitch, np.sin(pitch)], axis=-1)[:, None]
    draw = jax.jit(
        lambda key, x: jm.sample_lasermix(key, x, jnp.ones((9000, 1), bool), areas=AREAS)
    )
    mix, _ = draw(seed(2), points.astype(np.float32))
    within(mix.mask[:, 0], 1 / 3)


def test_padding_and_missing_points_never_count():
    points, valid = scans()
    mix, _ = jm.sample_lasermix(seed(3), points, valid)
    spoilt = np.where(valid[..., None], points, 7.0).astype(np.float32)
    spoilt[2, :3] = np.inf  # valid by name, but not there
    gone = valid.copy()
    gone[2, :3] = False
    drawn = jm.sample_lasermix(seed(3), points, gone), jm.sample_lasermix(seed(3), spoilt, valid)
    for a, b in zip(*map(jax.tree.leaves, drawn), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.asarray(mix.mask & ~valid).any()
    half, _ = jm.sample_lasermix(seed(3), jnp.asarray(points, jnp.bfloat16), valid)
    assert half.lam.dtype == jnp.float32 and abs(half.lam - mix.lam).max() < 0.3


def test_bad_scans():
    points, valid = jnp.ones((2, 5, 3)), jnp.ones((2, 5), bool)
    with pytest.raises(ValueError, match=r"points of shape \(2, 5, 2\); it needs \(B, N, 3\)"):
        jm.sample_lasermix(seed(1), points[..., :2], valid)
    with pytest.raises(TypeError, match="points of dtype uint8; it needs floats"):
        jm.sample_lasermix(seed(1), points.astype(jnp.uint8), valid)
    with pytest.raises(ValueError, match=r"valid of shape \(2, 4\) and dtype bool"):
        jm.sample_lasermix(seed(1), points, valid[:, 1:])
    with pytest.raises(ValueError, match="dtype float32; it needs bool"):
        jm.sample_lasermix(seed(1), points, jnp.ones((2, 5)))
    with pytest.raises(ValueError, match=r"areas=\(0, 3\)"):
        jm.sample_lasermix(seed(1), points, valid, areas=(0, 3))
    with pytest.raises(ValueError, match=r"areas=\(\); it needs a tuple of ints"):
        jm.sample_lasermix(seed(1), points, valid, areas=())
    for pitch in ((3.0, 3.0), (4.0, 3.0), (-100.0, 3.0)):
        with pytest.raises(ValueError, match="pitch="):
            jm.sample_lasermix(seed(1), points, valid, pitch=pitch)
    with pytest.raises(ValueError, match="sectors=0"):
        jm.sample_lasermix(seed(1), points, valid, sectors=0)
    with pytest.raises(ValueError, match="sectors=3; it needs 1, or an even number"):
        jm.sample_lasermix(seed(1), points, valid, sectors=3)
    with pytest.raises(ValueError, match=r"points of shape \(2, 0, 3\)"):
        jm.sample_lasermix(seed(1), points[:, :0], valid[:, :0])
