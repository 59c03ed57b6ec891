"""Lists of boxes and points, against a NumPy that paints them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(0)
MIX = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))
HALF = jm.Mix(jm.reverse(), jnp.array([[True, True, False, False]]), jnp.full(2, 0.5))


def painted(mask, box):
    """A box of whole pixels, painted: its visible fraction and its tight box."""
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


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8", "float32", "float16"])
def test_weights_of_any_dtype_are_weighed(dtype):
    boxes, weights = jnp.ones((2, 1, 4)), jnp.ones((2, 1), dtype)
    wanted = jnp.float16 if dtype == "float16" else jnp.float32
    for found in (
        jm.mix_boxes(MIX, boxes, weights)[1],
        jm.mix_points(MIX, boxes[..., :2], weights)[1],
        jm.mix_instances(MIX, jnp.ones((2, 1, 4, 4), bool), weights)[2],
    ):
        assert found.dtype == wanted
        np.testing.assert_array_equal(found, [[0.75, 0.25]] * 2)


def test_visibilities_of_coco_stay_what_they_are():
    points = jnp.array([[[0.5], [1.5], [2.5]]] * 2)
    found = jm.mix_points(HALF, points, jnp.array([[0, 1, 2], [2, 2, 1]]))[1]
    np.testing.assert_array_equal(found, [[0, 1, 0, 0, 0, 1], [2, 2, 0, 0, 0, 2]])


def test_boxes_in_each_order_are_the_same_boxes():
    mask = np.zeros((1, 6, 8), bool)
    mask[:, :, :4] = True  # the left half is the row's own
    mix = jm.Mix(jm.reverse(), jnp.asarray(mask), jnp.full(2, 0.5))
    y0x0y1x1 = np.array([[[1.0, 2, 5, 7]], [[0.0, 1, 3, 6]]])
    x0y0x1y1 = y0x0y1x1[..., [1, 0, 3, 2]]
    xywh = np.concatenate([x0y0x1y1[..., :2], x0y0x1y1[..., 2:] - x0y0x1y1[..., :2]], -1)
    weights = jnp.ones((2, 1))
    found, seen = jm.mix_boxes(mix, jnp.asarray(y0x0y1x1, jnp.float32), weights)
    np.testing.assert_array_equal(found[0], [[1, 2, 5, 4], [0, 4, 3, 6]])
    for boxes, box_format, back in (
        (x0y0x1y1, "xyxy", lambda b: b[..., [1, 0, 3, 2]]),
        (
            xywh,
            "xywh",
            lambda b: np.concatenate([b[..., 1::-1], (b[..., :2] + b[..., 2:])[..., ::-1]], -1),
        ),
    ):
        boxes = jnp.asarray(boxes, jnp.float32)
        other, other_seen = jm.mix_boxes(mix, boxes, weights, box_format=box_format)
        np.testing.assert_array_equal(back(np.asarray(other)), found)
        np.testing.assert_array_equal(other_seen, seen)
    points = jnp.array([[[1.0, 5.0]], [[1.0, 5.0]]])  # (y, x): in the right half
    for place, point_format in ((points, "yx"), (points[..., ::-1], "xy")):
        both, visible = jm.mix_points(mix, place, weights, point_format=point_format)
        np.testing.assert_array_equal(both[:, :1], place)
        np.testing.assert_array_equal(visible, [[0, 1]] * 2)
    for verb, name in ((jm.mix_boxes, "box_format"), (jm.mix_points, "point_format")):
        with pytest.raises(ValueError, match=f"{name}='yolo'"):
            verb(mix, jnp.ones((2, 1, 4)), weights, **{name: "yolo"})


@pytest.mark.parametrize("spatial", [(7,), (6, 8), (3, 5, 4)])
def test_objects_are_cut_by_the_mask_and_boxes_are_what_is_left(spatial):
    generator, rank = np.random.default_rng(1), len(spatial)
    objects = generator.random((4, 3, *spatial)) < 0.3
    objects[0, 0] = False  # padding
    weights = generator.integers(1, 3, (4, 3)).astype(np.float32)
    weights[0, 0] = 0
    mix = jm.sample_gridmix(KEY, (4, *spatial), per="example")
    seen, boxes, left = jax.jit(partial(jm.mix_instances, min_visible=0.4))(mix, objects, weights)
    assert boxes.shape == (4, 6, 2 * rank)
    for i in range(4):
        for n in range(6):
            row, own = (i, True) if n < 3 else (3 - i, False)
            whole = objects[row, n % 3]
            expected = whole & (np.asarray(mix.mask[i]) == own)
            np.testing.assert_array_equal(seen[i, n], expected)
            share = expected.sum() / max(whole.sum(), 1)
            alive = share >= 0.4
            assert left[i, n] == (weights[row, n % 3] if alive else 0)
            places = np.argwhere(expected)
            tight = np.concatenate([places.min(0), places.max(0) + 1]) if len(places) else 0
            np.testing.assert_array_equal(boxes[i, n], np.broadcast_to(tight, 2 * rank))


def test_objects_under_a_soft_mask_stay_whole():
    objects = jnp.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]])
    soft = jm.Mix(jm.reverse(), jnp.array([[1.0, 0.5, 0.25, 0.25]]), jnp.full(2, 0.5))
    for mix, shares in ((MIX, [0.75, 0.25]), (soft, [0.75, 0.75])):
        seen, boxes, weights = jm.mix_instances(mix, objects, jnp.ones((2, 1)), box_format="xywh")
        np.testing.assert_array_equal(seen[0], [[1, 1, 0, 0], [0, 0, 1, 1]])
        np.testing.assert_array_equal(boxes[0], [[0, 2], [2, 2]])
        np.testing.assert_array_equal(weights[0], shares)


def test_padding_of_boxes_may_be_nan_under_every_mask():
    boxes = jnp.array([[[0.0, 2.0], [jnp.nan, jnp.nan]]] * 2)
    weights = jnp.array([[1.0, 0.0]] * 2)
    soft = jm.Mix(jm.reverse(), jnp.full((1, 4), 0.5), jnp.full(2, 0.5))
    for mix in (MIX, HALF, soft):
        found = jm.mix_boxes(mix, boxes, weights)[1]
        assert jnp.isfinite(found).all() and not found[:, 1::2].any()
        found = jm.mix_points(mix, boxes[..., :1], weights)[1]
        assert jnp.isfinite(found).all() and not found[:, 1::2].any()


def test_lists_of_another_batch_are_joined():
    boxes, weights = jnp.array([[[0.0, 3.0]], [[1.0, 4.0]]]), jnp.ones((2, 1))
    ids = jnp.array([[5], [6]])
    other = (boxes + 0.5, jnp.full((2, 1), 2.0), ids + 10)
    joined, left, names = jm.mix_boxes(MIX, boxes, weights, ids, other=other)
    np.testing.assert_array_equal(joined, jnp.concatenate([boxes, boxes + 0.5], 1))
    np.testing.assert_array_equal(left, [[0.75, 0.5]] * 2)
    np.testing.assert_array_equal(names, [[5, 15], [6, 16]])
    more = jnp.zeros((2, 3, 1)), jnp.ones((2, 3))  # lists of another length too
    assert jm.mix_points(MIX, boxes[..., :1], weights, other=more)[1].shape == (2, 4)
    with pytest.raises(ValueError, match="a tuple of as many lists"):
        jm.mix_boxes(MIX, boxes, weights, ids, other=other[:2])


def test_half_precision_boxes_and_distributions_under_strict_promotion():
    boxes = jnp.array([[[0.0, 2.0]], [[1.0, 4.0]]], jnp.float16)
    for mix in (MIX, HALF):
        found, weights = jm.mix_boxes(mix, boxes, jnp.ones((2, 1), jnp.bfloat16))
        assert found.dtype == jnp.float16 and weights.dtype == jnp.bfloat16
        assert jm.mix_points(mix, boxes[..., :1], jnp.ones((2, 1)))[0].dtype == jnp.float16
