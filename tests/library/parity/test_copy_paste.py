"""Copy-paste, against MMDetection's and copy-paste-aug's; make_copy_paste.py made the numbers."""

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.parity.cases import KEY, Case, i32, run, same

N = 5


def ours(draw, case, chosen):
    """The same subset, by λ = ½: pictures, what `mix_objects` says, and boxes before."""
    ids, weights = i32(case.ids), jnp.ones((4, N))

    def step(chosen):
        draw(jnp.full(4, 0.5), jnp.where(chosen > 0, 0.75, 0.25).T)
        mix = jm.sample_copy_paste(KEY, ids, num_objects=N)
        options = {"box_format": "xyxy", "min_visible": 0.0}
        whole = jm.Mix(jm.reverse(), jnp.ones_like(mix.mask), jnp.ones(4))
        before = jm.mix_objects(whole, ids, weights, **options)[2]
        mixed = jm.blend(mix, jnp.asarray(case.images), dtype=jnp.uint8)
        return mixed, jm.mix_objects(mix, ids, weights, **options), before

    return run(jax.vmap(step), chosen)


def test_mmdetection(draw):
    """Its rule of what stays is a line on the same areas and boxes; else all is the same."""
    case = Case("copypaste")
    mixed, (_, masks, boxes, weights, areas, visible), before = ours(draw, case, case.mmdet_chosen)
    same(mixed, case.mmdet_mixed)
    near = (np.abs(boxes - before) <= 10).all(-1) | (areas > 300)
    near[..., N:] = case.mmdet_chosen
    # An object that is not there has a box of zeros, which does not move.
    there = near & (jnp.concatenate([before[..., :N, 2] > 0, case.mmdet_chosen], -1))
    np.testing.assert_array_equal(there, case.mmdet_there)
    np.testing.assert_array_equal(np.where(there[..., None], boxes, 0), case.mmdet_boxes)
    np.testing.assert_array_equal(there[..., None, None] & masks, case.mmdet_masks)
    np.testing.assert_array_equal(visible[..., N:] == 1, case.mmdet_chosen)
    assert (there != (weights > 0)).any() and 0.2 < case.mmdet_chosen.mean() < 0.8
    assert (there & (areas <= 300)).any() and ((visible > 0) & ~there).any()


def test_copy_paste_aug(draw):
    """It keeps objects that are hidden whole, with boxes of zeros; here their weight is 0."""
    case = Case("copypaste")
    mixed, (ids, masks, boxes, weights, areas, _), _ = ours(draw, case, case.aug_chosen)
    same(mixed, case.aug_mixed)
    np.testing.assert_array_equal(masks, case.aug_masks)
    same(boxes, case.aug_boxes, atol=1e-4)  # theirs are fractions of the sides
    np.testing.assert_array_equal(areas, case.aug_masks.sum((-1, -2)))
    np.testing.assert_array_equal(weights > 0, case.aug_there & case.aug_masks.any((-1, -2)))
    np.testing.assert_array_equal(ids > 0, case.aug_masks.any(2))
