"""Lists of boxes and points, against a NumPy that paints them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(0)


def painted(mask, box):
    """A box of whole pixels, painted: its seen share and its tight box."""
    canvas = np.zeros(mask.shape, bool)
    canvas[tuple(slice(a, b) for a, b in zip(*np.split(box.astype(int), 2), strict=True))] = True
    seen = canvas & mask
    if not seen.any():
        return 0.0, box
    places = np.argwhere(seen)
    return seen.sum() / canvas.sum(), np.concatenate([places.min(0), places.max(0) + 1])


@pytest.mark.parametrize("spatial", [(12,), (9, 10), (5, 6, 7)])
def test_boxes_under_a_hard_mask_are_clipped_or_dropped(spatial):
    rng, rank = np.random.default_rng(0), len(spatial)
    start = rng.integers(0, [s - 1 for s in spatial], (4, 6, rank))
    stop = rng.integers(start + 1, np.array(spatial) + 1)
    boxes = np.concatenate([start, stop], -1).astype(np.float32)
    weights = rng.integers(0, 3, (4, 6)).astype(np.float32)  # 0 is padding
    ids = rng.integers(0, 9, (4, 6))
    sampler = jm.sample_gridmix if rank == 2 else jm.sample_cutmix
    mix = sampler(KEY, (4, *spatial), per="example")
    found = jax.jit(lambda *a: jm.mix_boxes(mix, *a, min_visible=0.3))(boxes, weights, ids)
    assert found[0].shape == (4, 12, 2 * rank)
    np.testing.assert_array_equal(found[2], np.concatenate([ids, ids[::-1]], 1))
    for i in range(4):
        for n in range(12):
            own = n < 6
            row = i if own else 3 - i
            mask = np.asarray(mix.mask[i]) == own
            share, tight = painted(mask, boxes[row, n % 6])
            np.testing.assert_array_equal(found[0][i, n], tight)
            alive = share >= 0.3
            assert found[1][i, n] == (weights[row, n % 6] if alive else 0)


def test_a_box_of_which_just_enough_is_seen_stays():
    mix = jm.Mix(jm.reverse(), jnp.broadcast_to(jnp.arange(8) < 4, (1, 8, 8)), jnp.full(2, 0.5))
    boxes = jnp.array([[[0.0, 2, 4, 6]], [[0.0, 3, 4, 7]]])  # own: a half and a quarter is seen
    for least, alive in ((0.25, [1, 1]), (0.5, [1, 0]), (0.51, [0, 0])):
        weights = jm.mix_boxes(mix, boxes, jnp.ones((2, 1)), min_visible=least)[1]
        np.testing.assert_array_equal(weights[:, 0], alive)


def test_boxes_under_a_number_keep_their_place_and_share_the_weight():
    boxes = jnp.array([[[0.5, 1, 3, 4.5]], [[2.0, 2, 9, 9]]])
    mix = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))
    found, weights = jm.mix_boxes(mix, boxes, jnp.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(found[1], np.concatenate([boxes[1], boxes[0]]))
    np.testing.assert_allclose(weights, [[0.75, 0.5], [1.5, 0.25]])
    soft = jm.Mix(jm.reverse(), jnp.full((1, 10, 10), 0.75), jnp.full(2, 0.75))
    inside = jnp.minimum(boxes, 9)
    np.testing.assert_allclose(jm.mix_boxes(soft, inside, jnp.array([[1.0], [2.0]]))[1], weights)


def test_what_is_beyond_the_border_or_has_no_area_does_not_count():
    mask = jnp.ones((1, 8, 8), bool)
    mix = jm.Mix(jm.reverse(), mask, jnp.ones(2))
    boxes = jnp.array([[-4.0, 2, 4, 6], [3, 3, 3, 5], [1.25, 0.5, 2.5, 7], [9, 9, 12, 12]])
    found, weights = jm.mix_boxes(mix, jnp.stack([boxes, boxes]), jnp.ones((2, 4)))
    np.testing.assert_array_equal(weights[0], [1, 0, 1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(found[0, 0], [0, 2, 4, 6])
    np.testing.assert_array_equal(found[0, 2], boxes[2])  # off leaves fractions as they are
    assert jnp.isfinite(found).all()


def test_a_row_that_is_its_own_partner_counts_once():
    boxes, weights = jnp.array([[[1.0, 1, 5, 5]]]), jnp.ones((1, 1))
    for mix in (jm.sample_cutmix(KEY, (1, 8, 8)), jm.sample_mixup(KEY, (1,))):
        found, alive = jm.mix_boxes(mix, boxes, weights)
        np.testing.assert_array_equal(found[0, 0], boxes[0, 0])
        np.testing.assert_array_equal(alive, [[1, 0]])
        assert jm.mix_points(mix, boxes[..., :2], weights)[1].tolist() == [[1, 0]]


def test_no_boxes_at_all():
    mix = jm.sample_cutmix(KEY, (2, 8, 8))
    boxes, weights = jm.mix_boxes(mix, jnp.zeros((2, 0, 4)), jnp.zeros((2, 0)))
    assert boxes.shape == (2, 0, 4) and weights.shape == (2, 0)


def test_points_are_seen_where_their_row_is():
    rng = np.random.default_rng(2)
    points = rng.uniform(-1, 9, (4, 50, 2)).astype(np.float32)
    visible = rng.integers(0, 2, (4, 50)).astype(np.float32)
    mix = jm.sample_cutmix(KEY, (4, 8, 8), per="example")
    both, seen = jm.mix_points(mix, points, visible)
    np.testing.assert_array_equal(both, np.concatenate([points, points[::-1]], 1))
    for i in range(4):
        for n in range(100):
            row = i if n < 50 else 3 - i
            y, x = np.floor(both[i, n]).astype(int)
            inside = 0 <= y < 8 and 0 <= x < 8
            here = inside and bool(mix.mask[i, y, x]) == (n < 50)
            assert seen[i, n] == (visible[row, n % 50] if here else 0)
    half = jm.Mix(jm.reverse(), jnp.array([0.25]), jnp.full(4, 0.25))
    assert (jm.mix_points(half, points, visible)[1][:, :50] == 0.25 * visible).all()


def test_bad_lists():
    mix = jm.sample_cutmix(KEY, (2, 8, 8))
    with pytest.raises(ValueError, match=r"needs \(B, N, 4\)"):
        jm.mix_boxes(mix, jnp.ones((2, 4)), jnp.ones(2))
    with pytest.raises(ValueError, match=r"needs \(B, N, 4\)"):
        jm.mix_boxes(mix, jnp.ones((2, 3, 6)), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="weights of shape"):
        jm.mix_boxes(mix, jnp.ones((2, 3, 4)), jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=r"needs \(B, N, 2\)"):
        jm.mix_points(mix, jnp.ones((2, 3, 3)), jnp.ones((2, 3)))
