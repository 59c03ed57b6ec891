"""Copy-paste: a random subset of the partner's objects."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.samplers import _options
from tests.library.statistics import seed, within

N = 4


def maps(b=6, shape=(5, 7)):
    """Ids of four objects, the background, and three kinds of what is of no object."""
    kinds = [-1, 0, 0, 1, 2, 3, 4, 5, 255]
    return np.random.default_rng(2).choice(kinds, (b, *shape)).astype(np.int32)


def reference(ids, lam, u, partner):
    """Position by position: the partner's object k is pasted where its number is λ or more."""
    mask = np.ones(ids.shape, bool)
    for i, *place in np.argwhere(mask):
        k = ids[(partner[i], *place)]
        if 1 <= k <= N and u[i, k - 1] >= lam[i]:
            mask[(i, *place)] = False
    return mask


@pytest.mark.parametrize("shape", [(9,), (5, 7), (2, 3, 4)], ids=str)
def test_objects_are_pasted_whole_by_their_numbers(monkeypatch, rng, shape):
    ids, partner = maps(shape=shape), np.array([2, 0, 1, 3, 5, 4], np.int32)  # 3 meets itself
    lam = np.array([0, 0.3, 0.5, 0.5, 0.8, 1], np.float32)
    u = rng.random((6, N), np.float32)
    drawn = lambda alpha: jnp.asarray(lam)
    monkeypatch.setattr(_options, "law_and_uniforms", lambda *_: (drawn, jnp.asarray(u)))
    mix = jm.sample_copy_paste(seed(1), ids, num_objects=N, pairing=partner)
    expected = reference(ids, lam, u, partner)
    assert not expected.all() and mix.mask.dtype == bool
    np.testing.assert_array_equal(mix.mask, expected)
    counts = expected.reshape(6, -1).sum(1).astype(np.float32)
    np.testing.assert_array_equal(mix.lam, counts / np.float32(np.prod(shape)))
    assert (mix.lam[5] == 1) and (mix.mask[5]).all()


def pasted(**options):
    """Which of the partner's objects were pasted, bool[draws, N]."""
    ids = jnp.broadcast_to(jnp.arange(1, N + 1)[None], (8000, N))
    draw = jax.jit(lambda key: jm.sample_copy_paste(key, ids, num_objects=N, **options).mask)
    return ~np.asarray(draw(seed(2)))


def test_every_number_of_objects_is_as_likely_and_so_are_its_subsets():
    found = pasted()
    for number in range(N + 1):
        subsets = [set(s) for s in itertools.combinations(range(N), number)]
        within(found.sum(1) == number, 1 / (N + 1))
        for subset in subsets:
            exactly = (found == np.isin(np.arange(N), list(subset))).all(1)
            within(exactly, 1 / (N + 1) / len(subsets))


def test_each_object_by_itself_under_a_given_law():
    found = pasted(lam_law=jm.constant(0.7))
    for column in found.T:
        within(column, 0.3)
    within(found[:, 0] & found[:, 1], 0.09)
    assert pasted(lam_law=jm.constant(0.0)).all()
    assert not pasted(lam_law=jm.constant(1.0)).any()
    assert not pasted(alpha=0.0).any()
    found = pasted(alpha=3.0)
    within(found[:, 0], 1 / 2)
    within(found[:, 0] & found[:, 1], 1 / 4 + 1 / 28)  # (1 - λ)², and the variance of Beta(3, 3)


def test_objects_that_are_not_there_do_not_change_what_is_pasted():
    """Padding of the lists: an example with fewer objects than N."""
    ids = jnp.broadcast_to(jnp.array([[0, 2, 0, 4]]), (8000, 4))
    draw = jax.jit(lambda key: jm.sample_copy_paste(key, ids, num_objects=N).mask)
    found = ~np.asarray(draw(seed(3)))
    assert not found[:, [0, 2]].any()
    for number in range(3):  # 0, 1 or 2 of two
        within(found.sum(1) == number, 1 / 3)


def test_ids_of_narrow_dtypes():
    ids = jnp.array([[0, 1, 200, 255], [255, 200, 1, 0]], jnp.uint8)
    mix = jm.sample_copy_paste(seed(1), ids, num_objects=200, lam_law=jm.constant(0.0))
    assert mix.mask.tolist() == [[True, False, False, True], [True, False, False, True]]
    mix = jm.sample_copy_paste(seed(1), ids, num_objects=300, lam_law=jm.constant(0.0))
    assert mix.mask.tolist() == [[False, False, False, True], [True, False, False, False]]


def test_bad_maps_of_objects():
    with pytest.raises(TypeError, match="needs integers"):
        jm.sample_copy_paste(seed(1), jnp.ones((2, 3)), num_objects=3)
    with pytest.raises(ValueError, match="spatial axis"):
        jm.sample_copy_paste(seed(1), jnp.ones(2, int), num_objects=3)
    with pytest.raises(ValueError, match="num_objects=0"):
        jm.sample_copy_paste(seed(1), jnp.ones((2, 3), int), num_objects=0)
