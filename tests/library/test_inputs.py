"""Users' inputs that were once silently wrong: the right value, or a sentence that says what to do.

What samplers, distributions and pairings are given is in `test_inputs_samplers`, all calls on all
meshes and settings in `test_calls`.
"""

import dataclasses
from functools import partial
from inspect import unwrap  # past the shape checks, which only tests have

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.benchmarks.hlo import Program
from tests.library.x64 import enable_x64

KEY = jax.random.key(0)
MIX = jm.Mix(jm.reverse(), jnp.array([0.75]), jnp.full(2, 0.75))
HALF = jm.Mix(jm.reverse(), jnp.array([[True, True, False, False]]), jnp.full(2, 0.5))
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


def handmade(partner, mask, lam):
    """A mix as users make it, whom no type checker stops."""
    mix = object.__new__(jm.Mix)
    for name, value in (("partner", partner), ("mask", mask), ("lam", lam)):
        object.__setattr__(mix, name, value)
    return mix


# Weights and visibilities of integers and bools keep λ.


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


# Class ids of a narrow dtype do not wrap.


@pytest.mark.parametrize("dtype", INTEGERS)
def test_ids_of_any_width_are_ids(dtype):
    ids, wide = jnp.array([0, 3], dtype), jnp.array([0, 3])
    blended = jm.blend_labels(MIX, ids, num_classes=1000)
    np.testing.assert_array_equal(blended.sum(axis=1), [1, 1])
    np.testing.assert_array_equal(blended, jm.blend_labels(MIX, wide, num_classes=1000))
    logits = jax.nn.one_hot(jnp.array([256, 259]), 1000)  # 0 and 3 in eight bits
    np.testing.assert_array_equal(jm.mixed_accuracy(MIX, logits, ids), [0, 0])
    counts = jnp.arange(1.0, 1001.0)
    calls = [
        lambda ids: jm.remix(MIX, ids, counts).lam,
        lambda ids: jm.mamix(MIX, ids, counts).lam,
        lambda ids: jm.decoupled_loss(MIX, logits, ids),
        lambda ids: jm.mixupe_penalty(logits, ids, alpha=1.0),
        lambda ids: jm.mixup(KEY, logits, ids, num_classes=1000)[1],
        lambda ids: jm.stackmix(KEY, logits, ids, num_classes=1000)[1],
        lambda ids: jm.mixup_inference(KEY, lambda x: x, logits, logits, ids, samples=1),
        lambda ids: jm.mixed_accuracy(MIX, jax.nn.one_hot(wide, 1000), ids),
        lambda ids: jm.blend_labels(MIX, ids, other=ids, num_classes=1000),
    ]
    for call in calls:
        np.testing.assert_array_equal(call(ids), call(wide))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_steps_of_any_width_are_counted(dtype):
    schedule = partial(jm.hesitation, steps=1000, turn=300)
    assert schedule(jnp.asarray(100, dtype)) == schedule(100)


def test_ids_beyond_int32_are_no_class():
    far = np.array([2**32 + 1, 2**32 - 1], np.uint64)
    with enable_x64(True):
        for ids in (jnp.asarray(far), jnp.asarray(far.astype(np.int64))):
            blended = jm.blend_labels(MIX, ids, num_classes=3)
            np.testing.assert_array_equal(blended, np.zeros((2, 3)))
    ids = jnp.array([2**32 - 1, 1], jnp.uint32)
    np.testing.assert_array_equal(jm.blend_labels(MIX, ids, num_classes=2), [[0, 0.25], [0, 0.75]])


def test_float_ids_are_refused_and_targets_next_to_ids_are_not():
    with pytest.raises(ValueError, match=r"integer ids: cast.*int32.*regression targets"):
        jm.mixup(KEY, jnp.ones((2, 3)), jnp.array([0.0, 2.0]), num_classes=3)
    labels = {"class": jnp.array([0, 2]), "age": jnp.array([10.0, 20.0])}
    found = jm.blend_labels(MIX, labels, num_classes=3, smoothing=0.3)
    np.testing.assert_array_equal(found["age"], [12.5, 17.5])
    np.testing.assert_allclose(found["class"][0], [0.625, 0.1, 0.275], rtol=1e-6)


# Layout: channels last, and the order of boxes.


def first(image):
    return jnp.moveaxis(image, -1, 1)


RECIPES = {
    "cutmix": jm.cutmix,
    "mixup_or_cutmix": jm.mixup_or_cutmix,
    "resizemix": jm.resizemix,
    "mix_batch": partial(jm.mix_batch, sampler=jm.sample_fmix),
    "randommix": partial(jm.randommix, probs=(0.0, 1.0, 0.0, 0.0)),
    "recursivemix": lambda key, x, y, **options: jm.recursivemix(
        key, x, y, (x, jax.nn.one_hot(y, 3)), **options
    ),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_with_channels_first_are_refused(name, channels):
    images, ids = jnp.zeros((2, channels, 16, 20)), jnp.zeros(2, int)
    with pytest.raises(ValueError, match=r"channels came first.*jnp.moveaxis\(images, 1, -1\)"):
        RECIPES[name](KEY, images, ids, num_classes=3)
    moved = RECIPES[name](KEY, jnp.moveaxis(images, 1, -1), ids, num_classes=3)[0]
    assert moved.shape == (2, 16, 20, channels)


def test_channels_first_by_moving_the_axis():
    """The documented way: it cuts space, and adds no pass to a step."""

    def mixed(key, images):
        x = jnp.moveaxis(images, 1, -1)
        mix = jm.sample_cutmix(key, x.shape[:-1])
        return jnp.moveaxis(jm.blend(mix, x, dtype=jnp.float32), -1, 1)

    def convolved(images):
        kernel = jnp.ones((4, 3, 3, 3))
        numbers = ("NCHW", "OIHW", "NCHW")
        return jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", None, None, numbers)

    images = jax.random.bits(KEY, (8, 3, 64, 48), jnp.uint8)
    mask = jm.sample_cutmix(KEY, (8, 64, 48)).mask
    expected = jnp.where(mask[:, None], images, images[::-1]).astype(jnp.float32)
    np.testing.assert_array_equal(jax.jit(mixed)(KEY, images), expected)

    def passes(step, *arrays):
        return Program(jax.jit(step).lower(*arrays).compile()).passes(8 * 64 * 48 // 4)

    plain = passes(lambda images: convolved(images.astype(jnp.float32) / 2), images)
    assert len(passes(lambda *a: convolved(mixed(*a)), KEY, images)) == len(plain)


def test_the_remedy_for_a_misfit_names_the_layout():
    mix = jm.sample_cutmix(KEY, (2, 8, 6))
    with pytest.raises(ValueError, match=r"channels last.*moveaxis"):
        jm.blend(mix, jnp.zeros((2, 3, 8, 6)))


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


# What keep keeps.


def test_keep_mixes_where_true_and_pads_on_both_sides():
    mix = jm.Mix(jm.roll(), jnp.array([0.5]), jnp.full(4, 0.5))
    real = jnp.array([True, True, True, False])
    np.testing.assert_array_equal(jm.keep(mix, real).lam, [1, 0.5, 0.5, 1])
    theirs = jnp.array(
        [True, False, True, True]
    )  # of a second batch: row i is mixed with its row i
    np.testing.assert_array_equal(jm.keep(mix, real, other=theirs).lam, [0.5, 1, 0.5, 1])


# Index arrays, and mixes that were cut.


def test_index_arrays_of_another_rank_are_refused_everywhere():
    column = jnp.array([[1], [0]])
    hand = handmade(column, MIX.mask, MIX.lam)
    for call in (
        lambda: unwrap(jm.sample_mixup)(KEY, (2,), pairing=column),
        lambda: jm.blend(hand, jnp.ones((2, 5))),
        lambda: jm.take_partner(hand, jnp.ones((2, 5))),
        lambda: jm.blend_labels(hand, jnp.ones((2, 5))),
        lambda: jm.resize_mix(hand, (2,)),
        lambda: unwrap(jm.partner_index)(column, 2),
    ):
        with pytest.raises(ValueError, match=r"of shape \(2, 1\).*one index for each example"):
            call()


@pytest.mark.parametrize("pairing", [jm.reverse(), jm.roll(), jm.neighbours()], ids=str)
def test_a_mix_that_was_cut_is_refused(pairing):
    mix = jm.sample_mixup(KEY, (16,), per="example", pairing=pairing)
    cut = jax.tree.map(lambda a: a[:4], mix)
    for call in (
        lambda: jm.blend(cut, jnp.ones(4)),
        lambda: jm.blend_labels(cut, jnp.ones(4)),
        lambda: jm.pair_loss(cut, lambda o, t: o, jnp.ones(4), jnp.ones(4)),
    ):
        with pytest.raises(ValueError, match=r"drawn for 16 examples, with 4.*draw a mix"):
            call()
    alone = dataclasses.replace(cut, partner=jm.partner_index(pairing, 16)[:4])
    x = jnp.arange(1.0, 5.0)
    outside = np.asarray(alone.partner) >= 4
    assert jnp.isnan(jm.take_partner(alone, x)[outside]).all()  # seen, not silently another row
    jax.vmap(lambda key: jm.blend(jm.sample_mixup(key, (4,), pairing=pairing), x))(
        jax.random.split(KEY, 2)
    )


# What is hidden or weighs nothing has no influence.


def test_hidden_values_have_no_influence():
    nan = jnp.nan
    amount = jnp.array([[1.0, 1, nan, nan], [nan, nan, 3, 1]])
    np.testing.assert_allclose(jm.reweigh(HALF, amount).lam[0], 1 / 3)
    logits = jnp.array([[0.0, -jnp.inf], [-jnp.inf, 0.0]])
    own = jm.Mix(jm.reverse(), jnp.ones(1), jnp.ones(2))
    np.testing.assert_array_equal(jm.decoupled_loss(own, logits, jnp.array([0, 1])), [0, 0])
    features = jnp.array([[[nan], [nan], [1.0], [3.0]]] * 2)
    np.testing.assert_array_equal(jm.pool_given(HALF, features), [[2], [2]])
    soft = jm.Mix(jm.reverse(), jnp.array([1.0, 0.0]), jnp.array([1.0, 0.0]))
    x = jnp.array([1.0, nan])
    np.testing.assert_array_equal(jm.blend(soft, x), [1, 1])
    np.testing.assert_array_equal(jm.blend_labels(soft, x), [1, 1])
    loss = jm.pair_loss(soft, lambda o, t: t, None, x)
    np.testing.assert_array_equal(loss, [1, 1])
    infinite = jm.blend(soft, jnp.array([1.0, jnp.inf]))
    np.testing.assert_array_equal(infinite, [1, 1])


def test_a_missing_value_is_resized_into_its_own_place_only():
    x = jnp.array([[0.0, 0, 0, 0], [jnp.nan, 2, 3, 4]])
    fitted = jm.fit_partner(HALF, x)[0, 2:]
    assert jnp.isnan(fitted[0]) and jnp.isfinite(fitted[1])


def test_padding_of_boxes_may_be_nan_under_every_mask():
    boxes = jnp.array([[[0.0, 2.0], [jnp.nan, jnp.nan]]] * 2)
    weights = jnp.array([[1.0, 0.0]] * 2)
    soft = jm.Mix(jm.reverse(), jnp.full((1, 4), 0.5), jnp.full(2, 0.5))
    for mix in (MIX, HALF, soft):
        found = jm.mix_boxes(mix, boxes, weights)[1]
        assert jnp.isfinite(found).all() and not found[:, 1::2].any()
        found = jm.mix_points(mix, boxes[..., :1], weights)[1]
        assert jnp.isfinite(found).all() and not found[:, 1::2].any()


# A mix of a mix.


def test_a_mix_of_a_mix_as_the_docstring_says():
    first = jm.sample_mixup(jax.random.key(1), (4,), per="example")
    second = jm.sample_mixup(jax.random.key(2), (4,), per="example", pairing=jm.roll())
    ids, logits = jnp.array([0, 1, 2, 3]), jax.random.normal(KEY, (4, 4))

    def ce(logits, ids):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), ids[:, None], 1)[:, 0]

    soft = jm.blend_labels(second, jm.blend_labels(first, ids, num_classes=4))
    expected = -(soft * jax.nn.log_softmax(logits)).sum(axis=1)
    pairs = {"own": ids, "other": jm.take_partner(first, ids), "lam": first.lam}
    of_pair = lambda o, t: t["lam"] * ce(o, t["own"]) + (1 - t["lam"]) * ce(o, t["other"])
    np.testing.assert_allclose(jm.pair_loss(second, of_pair, logits, pairs), expected, rtol=1e-5)


def test_select_twice_undoes_itself_where_pairs_share_a_mask():
    x = jnp.arange(4 * 25).reshape(4, 5, 5)
    for per, undone in (("batch", True), ("pair", True), ("example", False)):
        mix = jm.sample_cutmix(jax.random.key(3), (4, 5, 5), per=per)
        assert bool((jm.select(mix, jm.select(mix, x)) == x).all()) == undone


# Dtypes of a mix, whatever comes.


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_losses_come_out_wide(dtype):
    with enable_x64(dtype == "float64"):
        outputs = jnp.full(2, 300.0, dtype)  # squares overflow half precision in a mean, not alone
        mix = jm.Mix(jm.reverse(), jnp.array([0.75], jnp.float32), jnp.full(2, 0.7, jnp.float32))
        loss = jm.pair_loss(mix, lambda o, t: o + 0 * t, outputs, outputs)
        assert loss.dtype == (jnp.float64 if dtype == "float64" else jnp.float32)
        np.testing.assert_allclose(loss, 300.0, rtol=1e-6)
        reg = jm.regmixup_loss(mix, lambda o, t: o, jnp.concatenate([outputs] * 2), outputs)
        assert reg.dtype == loss.dtype
        np.testing.assert_allclose(reg, 600.0, rtol=1e-6)


def test_half_precision_losses_are_weighed_in_float32():
    own, other = jnp.array([1.0, 256.0], jnp.bfloat16), jnp.array([3.0, 100.0], jnp.bfloat16)
    loss = jm.pair_loss(MIX, lambda o, t: t, None, own, other=other)
    np.testing.assert_array_equal(loss, [1.5, 217.0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, jnp.bfloat16])
def test_fields_of_a_handmade_mix_may_be_numpy_of_any_float_dtype(dtype):
    mix = handmade(np.array([1, 0], np.int64), np.array([0.75], dtype), np.full(2, 0.75, dtype))
    np.testing.assert_array_equal(jm.blend(mix, jnp.array([0.0, 4.0])), [1, 3])
    kept = jm.keep(mix, jnp.ones(2, bool))
    assert kept.mask.dtype == kept.lam.dtype == jnp.float32
    assert kept.partner.dtype == jnp.int32


def test_masks_that_are_no_masks_are_refused():
    x = jnp.ones((4, 4, 4, 3))
    bytes_ = jm.Mix(jm.reverse(), jnp.full((1, 4, 4), 255, jnp.uint8), jnp.ones(4))
    with pytest.raises(TypeError, match=r"mask has dtype uint8.*write mask > 0"):
        jm.blend(bytes_, x)
    flat = jm.Mix(jm.reverse(), jnp.ones((4, 4)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"write mask\[None\]"):
        jm.blend(flat, x)
    other = jm.Mix(jm.reverse(), jnp.ones((6, 4)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"mask has shape \(6, 4\).*mask\[None\]"):
        jm.blend(other, x)
    per_row = jm.Mix(jm.reverse(), jnp.ones((4, 5)), jnp.ones(4))
    assert jm.blend(per_row, jnp.ones((4, 5, 6, 3))).shape == (4, 5, 6, 3)


def test_fit_partner_of_bools_and_complex_numbers():
    mix = jm.Mix(jm.reverse(), jnp.array([[True, True, False, False]]), jnp.full(2, 0.5))
    bools = jnp.array([[0, 0, 0, 0], [1, 1, 0, 0]], bool)
    fitted = jm.fit_partner(mix, bools)
    assert fitted.dtype == jnp.bool_
    np.testing.assert_array_equal(fitted[0, 2:], [True, False])  # by the mean: 6/7 and 1/7, not any
    numbers = jnp.array([[1.0, 2, 3, 4], [4, 3, 2, 1]])
    turned = jm.fit_partner(mix, jax.lax.complex(numbers, 2 * numbers))
    assert turned.dtype == jnp.complex64
    fitted = np.asarray(jm.fit_partner(mix, numbers))
    np.testing.assert_allclose(turned, fitted + 2j * fitted, rtol=1e-6)


# A partner from a second batch.


def test_every_verb_takes_another_batch_in_place_of_the_partners():
    """`other=` of the partners' own rows changes nothing, and another one is what is taken."""
    mix = jm.sample_mixup(KEY, (4,), per="example", pairing=jm.roll())
    ids, soft = jnp.array([0, 1, 2, 0]), jnp.eye(4)[:, :3] + 0.25
    x = jax.random.normal(KEY, (4, 6, 3))
    logits = jax.random.normal(KEY, (4, 3))
    counts, level = jnp.array([10.0, 1.0, 40.0]), jnp.array([1.0, 2.0, 3.0, 4.0])
    valid = jnp.arange(6)[None] < jnp.array([[6], [4], [3], [5]])
    ce = lambda o, t: -jnp.take_along_axis(jax.nn.log_softmax(o), t[:, None], 1)[:, 0]
    double = jnp.concatenate([logits, logits])
    maps = jax.random.uniform(KEY, (4, 6))
    seen = jm.Mix(jm.roll(), jnp.arange(6)[None] < 2, jnp.full(4, 1 / 3))
    verbs = {
        "blend": (lambda x, **o: jm.blend(mix, x, **o), x),
        "blend_at": (lambda x, **o: jm.blend_at(mix, x, layer=1, at=1, **o), x),
        "blend_moments": (lambda x, **o: jm.blend_moments(mix, x, axes=(1,), **o), x),
        "blend_labels": (lambda y, **o: jm.blend_labels(mix, y, num_classes=3, **o), ids),
        "soft": (lambda y, **o: jm.blend_labels(mix, y, smoothing=0.1, **o), soft),
        "pair_loss": (lambda y, **o: jm.pair_loss(mix, ce, logits, y, **o), ids),
        "regmixup": (lambda y, **o: jm.regmixup_loss(mix, ce, double, y, **o), ids),
        "decoupled": (lambda y, **o: jm.decoupled_loss(mix, logits, y, **o), ids),
        "accuracy": (lambda y, **o: jm.mixed_accuracy(mix, logits, y, **o), ids),
        "remix": (lambda y, **o: jm.remix(mix, y, counts, **o), ids),
        "mamix": (lambda y, **o: jm.mamix(mix, y, counts, **o), ids),
        "balance": (lambda y, **o: jm.balance(mix, y, **o), level),
        "reweigh": (lambda y, **o: jm.reweigh(mix, y, **o), valid),
        "keep_overlap": (lambda y, **o: jm.keep_overlap(mix, y, **o), valid),
        "keep_local": (lambda y, **o: jm.keep_local(mix, y, radius=6.0, **o), x),
        "keep": (lambda y, **o: jm.keep(mix, y, **o), jnp.array([True, True, False, True])),
        "transport": (lambda y, **o: jm.puzzle_transport(seen, y, grid=(6,), **o), maps),
        "align": (lambda x, **o: jm.align_partner(mix, x, iterations=5, **o), x),
    }
    for name, (verb, own) in verbs.items():
        plain = jax.tree.leaves(verb(own))
        given = jax.tree.leaves(verb(own, other=jm.take_partner(mix, own)))
        for a, b in zip(plain, given, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
        changed = jax.tree.leaves(verb(own, other=jnp.roll(own, 2, axis=0)))
        assert any((a != b).any() for a, b in zip(plain, changed, strict=True)), name


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


def test_recipes_take_a_second_batch():
    x, ids = jnp.zeros((4, 8, 8, 3)), jnp.zeros(4, int)
    other = jnp.ones((4, 8, 8, 3)), jnp.ones(4, int)
    options = {"num_classes": 2, "other": other}
    for name, call in (RECIPES | {"mixup": jm.mixup}).items():
        if name == "recursivemix":  # whose second batch is the last step's
            continue
        mixed, labels = call(KEY, x, ids, **options)
        np.testing.assert_allclose(mixed.mean((1, 2, 3)), labels[:, 1], atol=0.02, err_msg=name)
    stacked, labels = jm.stackmix(KEY, x, ids, **options)
    np.testing.assert_array_equal(stacked.mean((1, 2, 3)), labels[:, 1])


# Errors.

DRAWN = jm.sample_mixup(KEY, (4,))
STACKED = jax.vmap(lambda key: jm.sample_cutmix(key, (4, 8)))(jax.random.split(KEY, 2))
MISTAKES = {
    "swapped": (lambda: jm.blend(jnp.ones(4), DRAWN), TypeError, "pass the mix first"),
    "no-key": (lambda: jm.sample_mixup((4,)), TypeError, r"tuple \(4,\) as key.*random.key"),
    "no-key-recipe": (
        lambda: jm.mixup(jnp.ones((4, 2)), jnp.ones(4)),
        TypeError,
        "mixup got an array.*as key.*as the first argument",
    ),
    "keys": (
        lambda: jm.sample_mixup(jax.random.split(KEY, 3), (4,)),
        TypeError,
        r"\(3,\) keys as key.*jax.vmap",
    ),
    "list-of-mixes": (lambda: jm.blend([DRAWN], jnp.ones(4)), TypeError, "a list.*overlay"),
    "list-where-one": (lambda: jm.keep_local([DRAWN], 0, radius=1.0), TypeError, "a list.*a Mix"),
    "tuple-where-one": (
        lambda: jm.reweigh((DRAWN, DRAWN), jnp.ones(4)),
        TypeError,
        "2 mixes; it needs one",
    ),
    "overlay-list": (lambda: unwrap(jm.overlay)([DRAWN]), TypeError, r"got list.*\*mixes"),
    "float-lam": (
        lambda: jm.blend(handmade(jm.reverse(), jnp.ones(1), 0.5), jnp.ones(4)),
        ValueError,
        r"lam has shape \(\).*jnp.full\(B, lam\)",
    ),
    "list-labels": (
        lambda: jm.blend_labels(DRAWN, [0, 1, 2, 3], num_classes=4),
        ValueError,
        r"a list is a PyTree.*jnp.asarray\(list\)",
    ),
    "ages": (
        lambda: jm.blend_labels(DRAWN, jnp.array([31, 7, 5, 60])),
        ValueError,
        "ages: cast them to float32",
    ),
    "reduced": (
        lambda: jm.pair_loss(DRAWN, lambda o, t: o.mean(), jnp.ones(4), jnp.ones(4)),
        ValueError,
        "one loss for each example, not reduced: leave the mean out of loss_fn",
    ),
    "size": (lambda: unwrap(jm.resize_mix)(DRAWN, 4), ValueError, r"spatial=4.*write \(4,\)"),
    "stacked-resize": (lambda: jm.resize_mix(STACKED, (4,)), ValueError, "under vmap"),
    "stacked-loss": (lambda: jm.mask_loss(STACKED), ValueError, "under vmap"),
    "bool-blend": (lambda: jm.blend(DRAWN, jnp.ones(4, bool)), TypeError, "a float dtype: "),
    "bool-to-bool": (
        lambda: jm.blend(DRAWN, jnp.ones(4, bool), dtype=bool),
        TypeError,
        r"select\(mix, x\)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_have_a_sentence(name):
    call, kind, words = MISTAKES[name]
    with pytest.raises(kind, match=words):
        call()


def test_bools_have_one_message():
    with pytest.raises(TypeError) as error:
        jm.blend(DRAWN, jnp.ones(4, bool))
    assert "bool itself" not in str(error.value)  # which the next call would refuse


def test_half_precision_boxes_and_distributions_under_strict_promotion():
    boxes = jnp.array([[[0.0, 2.0]], [[1.0, 4.0]]], jnp.float16)
    for mix in (MIX, HALF):
        found, weights = jm.mix_boxes(mix, boxes, jnp.ones((2, 1), jnp.bfloat16))
        assert found.dtype == jnp.float16 and weights.dtype == jnp.bfloat16
        assert jm.mix_points(mix, boxes[..., :1], jnp.ones((2, 1)))[0].dtype == jnp.float16
