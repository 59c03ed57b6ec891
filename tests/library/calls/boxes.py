"""Boxes, points and instances."""

import jax.numpy as jnp

import jax_mixup as jm
from tests.library.calls.base import Call, cutmix, each, hand, mixup

BOXES = [
    Call(
        "mix_boxes, mixup",
        lambda key, boxes, weights, objects: jm.mix_boxes(each(key), boxes, weights, objects),
    ),
    Call(
        "mix_boxes, cutmix", lambda key, boxes, weights: jm.mix_boxes(cutmix(key), boxes, weights)
    ),
    Call(
        "mix_boxes, by hand",
        lambda key, boxes, weights, objects, hard, lam: jm.mix_boxes(
            hand(hard, lam), boxes, weights, {"id": objects}, min_visible=0.3
        ),
    ),
    Call(
        "mix_boxes, soft mask",
        lambda key, boxes, weights, mask, lam, partners: jm.mix_boxes(
            hand(mask, lam, partners), boxes, weights
        ),
    ),
    Call(
        "mix_boxes, integer weights",
        lambda key, boxes, objects: jm.mix_boxes(each(key), boxes, objects),
    ),
    Call(
        "mix_boxes, xyxy",
        lambda key, boxes, weights, hard, lam: jm.mix_boxes(
            hand(hard, lam), boxes, weights, box_format="xyxy"
        ),
    ),
    Call(
        "mix_boxes, xywh",
        lambda key, boxes, weights: jm.mix_boxes(cutmix(key), boxes, weights, box_format="xywh"),
    ),
    Call(
        "mix_boxes, other",
        lambda key, boxes, weights, objects, hard, lam: jm.mix_boxes(
            hand(hard, lam), boxes, weights, objects, other=(boxes + 0.5, weights, objects)
        ),
    ),
    Call(
        "mix_instances",
        lambda key, outlines, weights, objects: jm.mix_instances(
            cutmix(key), outlines, weights, objects
        ),
    ),
    Call(
        "mix_instances, mixup",
        lambda key, outlines, weights, partners: jm.mix_instances(
            each(key, pairing=partners), outlines, weights, box_format="xywh"
        ),
    ),
    Call(
        "mix_instances, soft mask",
        lambda key, objects, dense, mask, lam: jm.mix_instances(
            hand(mask, lam),
            jnp.moveaxis(jnp.asarray(dense), -1, 1)[:, :2],
            objects,
            min_visible=0.5,
        ),
    ),
    Call(
        "mix_instances, other",
        lambda key, outlines, weights, hard, lam: jm.mix_instances(
            hand(hard, lam), outlines, weights, other=(~outlines, weights)
        ),
    ),
    Call(
        "mix_objects",
        lambda key, maps, weights, objects: jm.mix_objects(
            jm.sample_copy_paste(key, maps, num_objects=2), maps, weights, objects
        ),
    ),
    Call(
        "mix_objects, narrow ids, one mask for all",
        lambda key, maps, objects: jm.mix_objects(
            cutmix(key), maps.astype(jnp.uint8), objects, box_format="xywh", min_visible=0.5
        ),
    ),
    Call(
        "mix_objects, other",
        lambda key, maps, other_maps, weights, objects, hard, lam: jm.mix_objects(
            hand(hard, lam), maps, weights, objects, other=(other_maps, weights, objects)
        ),
    ),
    Call(
        "mix_points, mixup",
        lambda key, points, visible, objects: jm.mix_points(mixup(key), points, visible, objects),
    ),
    Call(
        "mix_points, cutmix",
        lambda key, points, visible: jm.mix_points(cutmix(key), points, visible),
    ),
    Call(
        "mix_points, xy",
        lambda key, points, objects, hard, lam: jm.mix_points(
            hand(hard, lam), points, objects, point_format="xy"
        ),
    ),
    Call(
        "mix_points, by hand",
        lambda key, points, visible, mask, lam: jm.mix_points(hand(mask, lam), points, visible),
    ),
    Call(
        "mix_points, other",
        lambda key, points, visible, weights: jm.mix_points(
            cutmix(key), points, visible, other=(points, weights)
        ),
    ),
    Call(
        "place_partner",
        lambda key, images, maps, hard, lam: jm.place_partner(
            hand(hard[:, 0], lam), {"x": images[:, 0], "valid": hard[:, 1]}, maps[:, 0]
        ),
    ),
    Call(
        "place_partner, other",
        lambda key, images, before, blocks, lam: jm.place_partner(
            hand(lam, lam), images[:, 0], blocks, other=before[:, 0]
        ),
    ),
    Call(
        "rotate_points", lambda key, images, mask: jm.rotate_points(images[:, 0], 6.3 * mask[:, 0])
    ),
    Call(
        "rotate_points, each cloud",
        lambda key, images, targets: jm.rotate_points(images[:, 1], targets),
    ),
]
