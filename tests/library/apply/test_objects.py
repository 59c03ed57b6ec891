"""Objects on a map of ids, against a NumPy that looks at each of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.apply import objects

KEY = jax.random.key(3)
B, N = 4, 3


def given(spatial, rng, n=N):
    """Ids with the background, ignored and unknown ones; weights with padding; class ids."""
    ids = rng.choice([-2, -1, 0, 0, *range(1, n + 1), n + 1, 255], (B, *spatial))
    weights = rng.integers(0, 3, (B, n)).astype(np.float32)
    return ids.astype(np.int32), weights, rng.integers(0, 9, (B, n))


def looked_at(mask, own, other, least, shift=N):
    """(ids, boxes, weights, areas, visible) of one example and its partner, by loops."""
    seen = np.zeros(mask.shape, int)
    for place in np.ndindex(*mask.shape):
        ids, weights, ahead = (*own, 0) if mask[place] else (*other, shift)
        k = ids[place]
        seen[place] = k + ahead if 1 <= k <= len(weights) else min(k, 0) if k < 1 else -1
    lists = []
    for (ids, weights), ahead in ((own, 0), (other, shift)):
        for k, weight in enumerate(weights, start=1):
            places, before = np.argwhere(seen == k + ahead), (ids == k).sum()
            box = np.zeros(2 * mask.ndim)
            if len(places):
                box = np.concatenate([places.min(0), places.max(0) + 1])
            share = np.float32(len(places)) / np.float32(max(before, 1))
            alive = len(places) > 0 and share >= np.float32(least)
            lists.append((box, weight if alive else 0, len(places), share))
    return seen, *map(np.array, zip(*lists, strict=True))


@pytest.mark.parametrize("spatial", [(9,), (6, 8), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("least", [0.0, 0.4])
def test_what_is_known_of_objects_is_what_is_seen(spatial, least, rng):
    ids, weights, classes = given(spatial, rng)
    partner = np.array([2, 1, 3, 0], np.int32)  # 1 meets itself
    mask = rng.random((B, *spatial)) < 0.5
    mix = jm.Mix(jnp.asarray(partner), jnp.asarray(mask), jnp.full(B, 0.5))
    verb = jax.jit(partial(jm.mix_objects, min_visible=least))
    seen, instances, boxes, left, areas, visible, both = verb(mix, ids, weights, classes)
    np.testing.assert_array_equal(both, np.concatenate([classes, classes[partner]], 1))
    assert seen.dtype == areas.dtype == jnp.int32 and instances.dtype == bool
    for i, p in enumerate(partner):
        own = np.ones(spatial, bool) if p == i else mask[i]
        expected = looked_at(own, (ids[i], weights[i]), (ids[p], weights[p]), least)
        found = (seen[i], boxes[i], left[i], areas[i], visible[i])
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        for k in range(2 * N):
            np.testing.assert_array_equal(instances[i, k], expected[0] == k + 1)


def test_pictures_ids_boxes_and_weights_are_of_one_mix(rng):
    """Pictures that show the ids: what the lists say is what one sees on the blended picture."""
    ids, weights, _ = given((16, 16), rng)
    weights = np.ones_like(weights)
    mix = jm.sample_copy_paste(KEY, ids, num_objects=N)
    assert 0 < (~mix.mask).sum() < mix.mask.size
    number = np.where((ids >= 1) & (ids <= N), ids, 0) + 10 * np.arange(1, B + 1)[:, None, None]
    picture = np.asarray(jm.blend(mix, number[..., None].astype(np.float32)))[..., 0]
    seen, _, boxes, left, areas, visible = jm.mix_objects(mix, ids, weights)
    for i in range(B):
        for k in range(2 * N):
            row, n = (i, k + 1) if k < N else (B - 1 - i, k + 1 - N)
            here = picture[i] == 10 * (row + 1) + n
            np.testing.assert_array_equal(np.asarray(seen[i]) == k + 1, here)
            assert areas[i, k] == here.sum() and (left[i, k] > 0) == here.any()
            if k >= N:  # pasted objects are whole, and the others are not there
                assert visible[i, k] in (0, 1)
            places = np.argwhere(here)
            tight = [*places.min(0), *places.max(0) + 1] if here.any() else [0] * 4
            np.testing.assert_array_equal(boxes[i, k], tight)


def test_the_same_as_of_dense_masks(rng):
    ids, weights, classes = given((6, 8), rng)
    dense = ids[:, None] == np.arange(1, N + 1)[:, None, None]
    for mix in (jm.sample_cutmix(KEY, ids.shape), jm.sample_copy_paste(KEY, ids, num_objects=N)):
        for box_format in ("yxyx", "xyxy", "xywh"):
            options = {"box_format": box_format, "min_visible": 0.3}
            found = jm.mix_objects(mix, ids, weights, classes, **options)
            should = jm.mix_instances(mix, dense, weights, classes, **options)
            for a, b in zip((*found[1:4], found[6]), should, strict=True):
                np.testing.assert_array_equal(a, b)


def test_objects_of_another_batch(rng):
    own, other = given((6, 8), rng), given((6, 8), rng, n=2)
    mask = rng.random((1, 6, 8)) < 0.5
    mix = jm.Mix(jm.reverse(), jnp.asarray(mask), jnp.full(B, 0.5))
    seen, instances, boxes, left, areas, visible, both = jm.mix_objects(
        mix, *own, other=other, min_visible=0.2
    )
    assert instances.shape == (B, N + 2, 6, 8)
    np.testing.assert_array_equal(both, np.concatenate([own[2], other[2]], 1))
    for i in range(B):
        expected = looked_at(mask[0], (own[0][i], own[1][i]), (other[0][i], other[1][i]), 0.2)
        for a, b in zip((seen, boxes, left, areas, visible), expected, strict=True):
            np.testing.assert_array_equal(a[i], b)


@pytest.mark.parametrize("spatial", [(9,), (6, 8), (3, 4, 5)], ids=str)
def test_both_ways_of_counting_give_the_same(spatial, rng):
    ids = jnp.asarray(given(spatial, rng)[0])
    for axis in range(len(spatial)):
        found = objects._compared(ids, n=N, axis=axis)  # on TPUs
        np.testing.assert_array_equal(objects._added(ids, n=N, axis=axis), found)
        rows = np.moveaxis(np.asarray(ids), axis + 1, 1).reshape(B, spatial[axis], -1)
        for k in range(N):
            np.testing.assert_array_equal(found[:, k], (rows == k + 1).sum(2))


def test_narrow_ids_do_not_wrap_and_weights_of_any_dtype_are_weighed():
    ids = jnp.array([[100, 127, 0, -1], [1, 127, 0, 0]], jnp.int8)
    mix = jm.sample_copy_paste(KEY, ids, num_objects=127, lam_law=jm.constant(0.0))
    seen, *_, areas, _ = jm.mix_objects(mix, ids, jnp.ones((2, 127), bool))
    assert seen.tolist() == [[128, 254, 0, -1], [227, 254, 0, 0]]
    assert areas.shape == (2, 254) and areas.sum() == 4
    for dtype, wanted in (("bool", "float32"), ("int32", "float32"), ("float16", "float16")):
        assert jm.mix_objects(mix, ids, jnp.ones((2, 127), dtype))[3].dtype == wanted
    assert jm.mix_objects(mix, ids, jnp.zeros((2, 0)))[2].shape == (2, 0, 2)


def test_bad_objects():
    ids, weights = jnp.ones((2, 8, 8), int), jnp.ones((2, 3))
    mix = jm.sample_cutmix(KEY, (2, 8, 8))
    soft = jm.sample_mixup(KEY, (2,))
    with pytest.raises(TypeError, match=r"float32 mask of shape .*mix_instances or mix_boxes"):
        jm.mix_objects(soft, ids, weights)
    with pytest.raises(TypeError, match=r"ids of dtype bool.*call mix_instances"):
        jm.mix_objects(mix, ids > 0, weights)
    with pytest.raises(ValueError, match=r"needs \(B, \*spatial\)"):
        jm.mix_objects(mix, ids[:, None], weights)
    with pytest.raises(ValueError, match="resize_mix"):
        jm.mix_objects(mix, ids[:, :4], weights)
    with pytest.raises(ValueError, match="weights of shape"):
        jm.mix_objects(mix, ids, jnp.ones((2, 3, 1)))
    with pytest.raises(ValueError, match="box_format='yolo'"):
        jm.mix_objects(mix, ids, weights, box_format="yolo")
    with pytest.raises(ValueError, match="a tuple of as many lists"):
        jm.mix_objects(mix, ids, weights, other=(ids,))
