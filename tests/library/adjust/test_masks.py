"""Other masks for a mix, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import mixed

KEY = jax.random.key(0)


def test_balance_is_between_class_learning():
    rng = np.random.default_rng(1)
    level, r = rng.uniform(0.1, 9, 6).astype(np.float32), rng.uniform(size=6).astype(np.float32)
    mix = jm.Mix(jm.reverse(), jnp.asarray(r), jnp.asarray(r))
    p = 1 / (1 + level / level[::-1] * (1 - r) / r)  # as the paper writes it
    np.testing.assert_allclose(jm.balance(mix, level).mask, p, rtol=1e-5)
    np.testing.assert_array_equal(jm.balance(mix, level).lam, r)
    silent = jm.balance(mixed([0.3, 0.3]), jnp.array([0.0, 2.0]))
    np.testing.assert_allclose(silent.mask, 0.3)
    with pytest.raises(ValueError, match="mask without positions"):
        jm.balance(jm.sample_cutmix(KEY, (2, 8)), jnp.ones(2))


def lengths(*n, size):
    return jnp.arange(size)[None, :] < jnp.array(n)[:, None]


@pytest.mark.parametrize("sample", [jm.sample_mixup, jm.sample_cutmix, jm.sample_fademix])
def test_only_what_both_rows_have_is_mixed(sample):
    valid = jax.random.bernoulli(KEY, 0.7, (5, 6, 7)).at[0].set(False)  # row 0 is empty
    mix = sample(KEY, (5, 6, 7), per="example", lam_law=jm.constant(0.3))
    found = jax.jit(jm.keep_overlap)(mix, valid)
    mask = np.asarray(mix.mask)
    mask = np.broadcast_to(mask.reshape(mask.shape + (1,) * (3 - mask.ndim)), (5, 6, 7))
    assert found.mask.dtype == mix.mask.dtype
    valid = np.asarray(valid)
    for i in range(5):
        both = valid[i] & valid[4 - i]
        np.testing.assert_array_equal(found.mask[i], np.where(both, mask[i], True))
        kept = float(valid[i].sum()) - (1 - mask[i].astype(np.float64))[both].sum()
        share = kept / valid[i].sum() if valid[i].any() else 1.0
        np.testing.assert_allclose(found.lam[i], share, rtol=1e-6)
        if mask.dtype == bool:
            assert found.lam[i] == np.float32(share)
    assert found.lam[0] == found.lam[4] == 1  # nothing in common


def test_sizes_that_differ_as_in_timm():
    # (A - O) / A + λ O / A: 4 positions and 6, of which 4 are common.
    mix = jm.keep_overlap(mixed([0.25, 0.25]), lengths(4, 6, size=8))
    np.testing.assert_allclose(mix.lam, [0.25, 2 / 6 + 0.25 * 4 / 6], rtol=1e-6)
    x = jnp.array([[1.0] * 4 + [0.0] * 4, [5.0] * 6 + [0.0] * 2])
    np.testing.assert_allclose(jm.blend(mix, x)[0], [4.0] * 4 + [0.0] * 4)
    np.testing.assert_allclose(jm.blend(mix, x)[1], [2.0] * 4 + [5.0] * 2 + [0.0] * 2)
    apart = jm.keep_overlap(mixed([0.25, 0.25]), jnp.array([[1, 1, 0], [0, 0, 1]], bool))
    assert (apart.lam == 1).all() and (apart.mask == 1).all()
    with pytest.raises(TypeError, match="needs bool"):
        jm.keep_overlap(mix, jnp.ones((2, 8)))
    with pytest.raises(ValueError, match="keep_overlap got an array"):
        jm.keep_overlap(jm.sample_cutmix(KEY, (2, 8)), lengths(4, 6, size=9))


def test_far_pairs_stay_apart():
    x = np.random.default_rng(3).normal(size=(7, 2, 3)).astype(np.float32)
    partner = jnp.array([1, 2, 2, 0, 6, 4, 5])  # neither mutual nor one to one
    mix = jm.sample_cutmix(KEY, (7, 4), lam_law=jm.constant(0.5), box="inside", pairing=partner)
    near = jax.jit(lambda radius: jm.keep_local(mix, x, radius=radius))  # traced
    distance = np.sqrt([((x[i] - x[p]) ** 2).sum() for i, p in enumerate(partner)])
    radius = np.float32(np.median(distance) + 1e-3)
    found = near(radius)
    assert 0 < (distance > radius).sum() < 6
    for i in range(7):
        stays = distance[i] > radius
        assert found.lam[i] == (1 if stays else 0.5)
        np.testing.assert_array_equal(found.mask[i], np.asarray(mix.mask)[0] | stays)
    assert (near(np.inf).lam == 0.5).all()
    assert (near(-1.0).lam == 1).all() and near(0.0).lam[2] == 0.5  # its own partner is at 0
    close = jnp.array([1e4, 1e4 + 1, 2e4])  # no cancellation far from zero
    assert jm.keep_local(mixed([0.5] * 3), close[:, None], radius=2.0).lam.tolist() == [1, 0.5, 1]
    with pytest.raises(ValueError, match=r"radius=-1\.0"):
        jm.keep_local(mix, x, radius=-1.0)


def test_keep_mixes_where_true_and_pads_on_both_sides():
    mix = jm.Mix(jm.roll(), jnp.array([0.5]), jnp.full(4, 0.5))
    real = jnp.array([True, True, True, False])
    np.testing.assert_array_equal(jm.keep(mix, real).lam, [1, 0.5, 0.5, 1])
    theirs = jnp.array(
        [True, False, True, True]
    )  # of a second batch: row i is mixed with its row i
    np.testing.assert_array_equal(jm.keep(mix, real, other=theirs).lam, [0.5, 1, 0.5, 1])
