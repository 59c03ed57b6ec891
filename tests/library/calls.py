"""The table of calls: what is public, with the options that matter, ready to run in any setting.

A row is a name and a function `(key, arrays...)`, whose parameters are names of `ARRAYS` or
`SHARED`: so that whoever runs it may shard, trace, vmap or cast what it takes. A new function is a
new row here, and `test_calls` then tries it in all settings. A row's name starts with the public
name that it calls; what comes after a comma is for the reader.
"""

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jax_mixup as jm
from jax_mixup import learned
from tests.library.methods import FOLLOWING, SHAPED, takes

B, SPATIAL, K = 8, (4, 4), 5  # so few that all compiles are small, and one row for each device
SHAPE = (B, *SPATIAL)


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    name: str
    run: Callable[..., Any]  # (key, arrays...) -> PyTree
    cannot: dict[str, str] = dataclasses.field(default_factory=dict)  # kind of setting: why not
    atol: float = 1e-5  # what float results may differ by; bools and ints never do

    @property
    def public(self) -> str:
        return self.name.split(",")[0]

    @property
    def takes(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.run).parameters)[1:]


_LENGTHS = np.array([4, 3, 2, 4, 1, 4, 3, 2], np.int32)


def _arrays() -> dict[str, np.ndarray]:
    """All with the batch first. Of each kind the narrow dtype; settings cast them."""
    rng = np.random.default_rng(0)
    uniform = lambda *shape: rng.random((B, *shape), np.float32)
    integers = lambda low, high, *shape: rng.integers(low, high, (B, *shape), np.int32)
    corner, side = 3 * uniform(2, 2), 0.5 + 2 * uniform(2, 2)
    return {
        "images": uniform(*SPATIAL, 3),
        "before": uniform(*SPATIAL, 3),  # another batch of them
        "pixels": integers(0, 256, *SPATIAL, 3).astype(np.uint8),
        "table": uniform(3),
        "targets": uniform(),
        "ids": np.array([0, 1, 1, 2, 0, 3, 4, 1], np.int32),
        "other_ids": np.array([4, 0, 2, 2, 1, 3, 0, 1], np.int32),
        "soft": np.asarray(rng.dirichlet(np.ones(K), B), np.float32),
        "maps": integers(-1, K, *SPATIAL),
        "other_maps": integers(-1, K, *SPATIAL),
        "logits": 4 * uniform(K),
        "both": 4 * rng.random((2 * B, K), np.float32),  # of clean and of blended rows
        "dense": 4 * uniform(*SPATIAL, K),
        "lam": uniform(),
        "hard": integers(0, 2, *SPATIAL).astype(bool),
        "mask": uniform(*SPATIAL),
        "saliency": uniform(*SPATIAL),
        "valid": np.broadcast_to(np.arange(4) < _LENGTHS[:, None, None], SHAPE),
        "where": np.arange(B) != 2,
        "boxes": np.concatenate([corner, corner + side], axis=-1),
        "weights": uniform(2),
        "objects": integers(0, K, 2),  # a class id a box
        "outlines": integers(0, 2, 2, *SPATIAL).astype(bool),  # a dense map a box
        "points": 4 * uniform(2, 2),
        "visible": np.ones((B, 2), np.float32),
        "partners": np.array([3, 0, 1, 2, 5, 4, 7, 6], np.int32),
        "attention": np.asarray(rng.dirichlet(np.ones(5), (B, 5)), np.float32),
        "lengths": _LENGTHS,
        "level": 0.1 + uniform(),
        "blocks": np.argsort(uniform(4), axis=1).astype(np.int32),
    }


ARRAYS = _arrays()
BLOCK = nnx.split(nnx.eval_shape(lambda: learned.MixBlock(3, rngs=nnx.Rngs(0))))
REGION = nnx.split(nnx.eval_shape(lambda: learned.PolicyRegion(jnp.tanh, 3, rngs=nnx.Rngs(0))))


def _weights(state: nnx.State) -> nnx.State:
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: rng.standard_normal(a.shape, np.float32) / 4, state)


# What has no batch: the same on every device.
SHARED = {
    "alpha": np.float32(0.7),
    "share": np.float32(0.4),
    "step": np.int32(65),
    "counts": np.array([100, 10, 1, 50, 30], np.float32),
    "block": _weights(BLOCK[1]),
    "region": _weights(REGION[1]),
}


REVERSE = jm.reverse()


def _hand(mask, lam, partner=REVERSE) -> jm.Mix:
    """A mix that a user makes, of whatever dtypes: verbs bring them to those that mixes have."""
    if not isinstance(partner, jm.StaticPairing):
        partner = jnp.asarray(partner)
    return jm.Mix(partner, jnp.asarray(mask), jnp.asarray(lam))


def _square(outputs, targets):
    return jnp.square(outputs - targets)


def _cross_entropy(logits, ids):
    log_p = jax.nn.log_softmax(logits)
    return -(log_p * jax.nn.one_hot(ids, K, dtype=log_p.dtype)).sum(-1)


mixup = partial(jm.sample_mixup, shape=(B,))
each = partial(jm.sample_mixup, shape=(B,), per="example")
cutmix = partial(jm.sample_cutmix, shape=SHAPE)
boxes_each = partial(jm.sample_cutmix, shape=SHAPE, per="example")
gmix = partial(jm.sample_gmix, shape=SHAPE)  # soft, with positions
dirichlet = partial(jm.sample_dirichlet, shape=(B,))
ricap = partial(jm.sample_ricap, shape=SHAPE)

VERBS = [
    Call("take_partner", lambda key, images: jm.take_partner(mixup(key), images)),
    Call("take_partner, tree", lambda key, pixels, ids: jm.take_partner(mixup(key), [pixels, ids])),
    Call(
        "take_partner, index",
        lambda key, images, partners: jm.take_partner(mixup(key, pairing=partners), images),
    ),
    Call("blend, mixup", lambda key, images: jm.blend(mixup(key), images)),
    Call("blend, mixup each", lambda key, images: jm.blend(each(key), images)),
    Call("blend, cutmix", lambda key, images: jm.blend(cutmix(key), images)),
    Call("blend, cutmix each", lambda key, images: jm.blend(boxes_each(key), images)),
    Call("blend, soft mask", lambda key, images: jm.blend(gmix(key), images)),
    Call("blend, by hand", lambda key, images, mask, lam: jm.blend(_hand(mask, lam), images)),
    Call("blend, maps", lambda key, saliency, mask, lam: jm.blend(_hand(mask, lam), saliency)),
    Call("blend, bool mask", lambda key, images, hard, lam: jm.blend(_hand(hard, lam), images)),
    Call(
        "blend, index",
        lambda key, images, mask, lam, partners: jm.blend(_hand(mask, lam, partners), images),
    ),
    Call("blend, tuple", lambda key, images: jm.blend(dirichlet(key), images)),
    Call("blend, tuple of bool", lambda key, images: jm.blend(ricap(key), images)),
    Call("blend, other", lambda key, images, before: jm.blend(each(key), images, other=before)),
    Call("blend, to f32", lambda key, pixels: jm.blend(mixup(key), pixels, dtype=jnp.float32)),
    Call("blend, to uint8", lambda key, pixels: jm.blend(gmix(key), pixels, dtype=jnp.uint8)),
    Call(
        "blend, bool to bf16", lambda key, pixels: jm.blend(cutmix(key), pixels, dtype="bfloat16")
    ),
    Call("blend, tree", lambda key, table, images: jm.blend(mixup(key), {"t": table, "i": images})),
    Call("select", lambda key, maps: jm.select(cutmix(key), maps)),
    Call("select, each", lambda key, maps, pixels: jm.select(boxes_each(key), (maps, pixels))),
    Call("select, by hand", lambda key, maps, hard, lam: jm.select(_hand(hard, lam), maps)),
    Call("select, tuple", lambda key, maps: jm.select(ricap(key), maps)),
    Call(
        "select, other",
        lambda key, maps, other_maps: jm.select(boxes_each(key), maps, other=other_maps),
    ),
    Call("blend_labels", lambda key, ids: jm.blend_labels(mixup(key), ids, num_classes=K)),
    Call("blend_labels, each", lambda key, ids: jm.blend_labels(each(key), ids, num_classes=K)),
    Call(
        "blend_labels, narrow ids",
        lambda key, ids: jm.blend_labels(each(key), ids.astype(np.uint8), num_classes=300),
    ),
    Call("blend_labels, soft", lambda key, soft: jm.blend_labels(cutmix(key), soft)),
    Call("blend_labels, numbers", lambda key, targets: jm.blend_labels(each(key), targets)),
    Call(
        "blend_labels, smoothing",
        lambda key, ids: jm.blend_labels(mixup(key), ids, num_classes=K, smoothing=0.1),
    ),
    Call(
        "blend_labels, smoothing traced",
        lambda key, ids, share: jm.blend_labels(each(key), ids, num_classes=K, smoothing=share),
    ),
    Call(
        "blend_labels, smoothing soft",
        lambda key, soft, share: jm.blend_labels(mixup(key), soft, smoothing=share),
    ),
    Call("blend_labels, tuple", lambda key, ids: jm.blend_labels(ricap(key), ids, num_classes=K)),
    Call(
        "blend_labels, other",
        lambda key, logits, soft: jm.blend_labels(each(key), logits, other=soft),
    ),
    Call(
        "blend_labels, tree and index",
        lambda key, ids, targets, partners: jm.blend_labels(
            mixup(key, pairing=partners), {"id": ids, "y": targets}, num_classes=K
        ),
    ),
    Call(
        "pair_loss",
        lambda key, logits, ids: jm.pair_loss(mixup(key), _cross_entropy, logits, ids),
    ),
    Call(
        "pair_loss, each and tree",
        lambda key, logits, ids, soft: jm.pair_loss(
            each(key),
            lambda o, t: {"ce": _cross_entropy(o, t[0]), "mse": _square(o, t[1])},
            logits,
            (ids, soft),
        ),
    ),
    Call(
        "pair_loss, index",
        lambda key, targets, level, partners: jm.pair_loss(
            each(key, pairing=partners), _square, targets, level
        ),
    ),
    Call(
        "pair_loss, by mask",
        lambda key, dense, maps: jm.pair_loss(cutmix(key), _cross_entropy, dense, maps, by="mask"),
    ),
    Call(
        "pair_loss, by soft mask",
        lambda key, dense, maps, mask, lam: jm.pair_loss(
            _hand(mask, lam), _cross_entropy, dense, maps, by="mask"
        ),
    ),
    Call(
        "pair_loss, tuple",
        lambda key, logits, ids: jm.pair_loss(dirichlet(key), _cross_entropy, logits, ids),
    ),
    Call("mixed_accuracy", lambda key, logits, ids: jm.mixed_accuracy(mixup(key), logits, ids)),
    Call(
        "mixed_accuracy, soft", lambda key, logits, soft: jm.mixed_accuracy(each(key), logits, soft)
    ),
    Call(
        "mixed_accuracy, dense",
        lambda key, dense, maps: jm.mixed_accuracy(cutmix(key), dense, maps),
    ),
    Call(
        "mixed_accuracy, tuple",
        lambda key, logits, ids: jm.mixed_accuracy(dirichlet(key), logits, ids),
    ),
    Call("resize_mix, coarser", lambda key: jm.resize_mix(cutmix(key), (2, 3))),
    Call("resize_mix, finer", lambda key, hard, lam: jm.resize_mix(_hand(hard, lam), (8, 4))),
    Call("resize_mix, tuple", lambda key: jm.resize_mix(ricap(key), (2, 2))),
    Call("resize_mix, no positions", lambda key: jm.resize_mix(mixup(key), (2, 2))),
    Call("keep", lambda key, where: jm.keep(mixup(key), where)),
    Call("keep, cutmix", lambda key, where: jm.keep(cutmix(key), where)),
    Call(
        "keep, index",
        lambda key, where, partners: jm.keep(boxes_each(key, pairing=partners), where),
    ),
    Call("keep, tuple", lambda key, where: jm.keep(ricap(key), where)),
    Call(
        "overlay",
        lambda key, hard, lam: jm.overlay(boxes_each(key), _hand(hard, lam, jm.roll())),
    ),
    Call("overlay, soft", lambda key, mask, lam: jm.overlay(mixup(key), _hand(mask, lam))),
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
            _hand(hard, lam), boxes, weights, {"id": objects}, min_visible=0.3
        ),
    ),
    Call(
        "mix_boxes, soft mask",
        lambda key, boxes, weights, mask, lam, partners: jm.mix_boxes(
            _hand(mask, lam, partners), boxes, weights
        ),
    ),
    Call(
        "mix_boxes, integer weights",
        lambda key, boxes, objects: jm.mix_boxes(each(key), boxes, objects),
    ),
    Call(
        "mix_boxes, xyxy",
        lambda key, boxes, weights, hard, lam: jm.mix_boxes(
            _hand(hard, lam), boxes, weights, box_format="xyxy"
        ),
    ),
    Call(
        "mix_boxes, xywh",
        lambda key, boxes, weights: jm.mix_boxes(cutmix(key), boxes, weights, box_format="xywh"),
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
            _hand(mask, lam),
            jnp.moveaxis(jnp.asarray(dense), -1, 1)[:, :2],
            objects,
            min_visible=0.5,
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
            _hand(hard, lam), points, objects, point_format="xy"
        ),
    ),
    Call(
        "mix_points, by hand",
        lambda key, points, visible, mask, lam: jm.mix_points(_hand(mask, lam), points, visible),
    ),
    Call("blend_at", lambda key, images: jm.blend_at(cutmix(key), images, layer=1, at=1)),
    Call(
        "blend_at, traced",
        lambda key, images, table, step: jm.blend_at(
            each(key), (images, table), layer=step - 65, at=0
        ),
    ),
    Call("add_noise", lambda key, images: jm.add_noise(key, images)),
    Call(
        "add_noise, traced",
        lambda key, table, share: jm.add_noise(key, table, additive=share, multiplicative=share),
    ),
    Call("blend_moments", lambda key, images: jm.blend_moments(mixup(key), images, axes=(1, 2))),
    Call(
        "blend_moments, positions",
        lambda key, images, mask, lam: jm.blend_moments(
            _hand(mask, lam), images, axes=(-1,), detach=True
        ),
    ),
    Call(
        "blend_moments, tuple",
        lambda key, images: jm.blend_moments(dirichlet(key), images, axes=(1,)),
    ),
    Call(
        "mixup_inference",
        lambda key, table, ids: jm.mixup_inference(key, jnp.sin, table, table, ids, samples=3),
    ),
    Call(
        "mixup_inference, predicted",
        lambda key, images, before, ids, share: jm.mixup_inference(
            key,
            lambda x: x.mean((1, 2)),
            images,
            before,
            ids,
            which="predicted",
            lam=share,
            samples=2,
        ),
    ),
]

LOSSES = [
    Call(
        "regmixup_loss",
        lambda key, both, ids, share: jm.regmixup_loss(
            mixup(key), _cross_entropy, both, ids, eta=share
        ),
    ),
    Call(
        "regmixup_loss, tuple",
        lambda key, both, soft: jm.regmixup_loss(dirichlet(key), _square, both, soft),
    ),
    Call("decoupled_loss", lambda key, logits, ids: jm.decoupled_loss(each(key), logits, ids)),
    Call(
        "decoupled_loss, power",
        lambda key, logits, ids, share: jm.decoupled_loss(
            cutmix(key), logits, ids, eta=share, power=0.5
        ),
    ),
    Call("mixupe_penalty", lambda key, logits, ids: jm.mixupe_penalty(logits, ids, alpha=2.0)),
    Call(
        "mixupe_penalty, traced",
        lambda key, logits, ids, alpha: jm.mixupe_penalty(logits, ids, alpha=alpha),
    ),
    Call("intrusion_loss", lambda key, targets, level: jm.intrusion_loss(targets, level)),
    Call("mask_loss", lambda key, mask, lam: jm.mask_loss(_hand(mask, lam))),
    Call("mask_loss, mixup", lambda key: jm.mask_loss(gmix(key), margin=0.0)),
    Call(
        "adautomix_loss",
        lambda key, targets, logits, soft: jm.adautomix_loss(
            dirichlet(key), jnp.asarray(targets), jnp.asarray(logits), jnp.asarray(soft)
        ),
    ),
    Call("until", lambda key: jm.until(7, 10)),
    Call("until, traced", lambda key, step: jm.until(step, step + 1)),
    Call("ramp", lambda key: jm.ramp(7, 0, 10)),
    Call("ramp, traced", lambda key, step: jm.ramp(step, 0, step + 1)),
    Call("hesitation", lambda key: jm.hesitation(7, steps=100, turn=3)),
    Call("hesitation, traced", lambda key, step: jm.hesitation(step, steps=100, turn=3)),
]

WEIGHTS = [
    Call("reweigh", lambda key, saliency: jm.reweigh(cutmix(key), saliency)),
    Call("reweigh, bool", lambda key, valid: jm.reweigh(boxes_each(key), valid)),
    Call("reweigh, no positions", lambda key, saliency: jm.reweigh(each(key), saliency)),
    Call(
        "reweigh, by hand",
        lambda key, saliency, mask, lam, partners: jm.reweigh(_hand(mask, lam, partners), saliency),
    ),
    Call("keep_overlap", lambda key, valid: jm.keep_overlap(cutmix(key), valid)),
    Call("keep_overlap, soft", lambda key, valid: jm.keep_overlap(mixup(key), valid)),
    Call("keep_local", lambda key, table: jm.keep_local(mixup(key), table, radius=0.5)),
    Call(
        "keep_local, traced",
        lambda key, images, share: jm.keep_local(boxes_each(key), images, radius=6 * share),
    ),
    Call("remix", lambda key, ids, counts: jm.remix(each(key), ids, counts)),
    Call(
        "remix, list of counts",
        lambda key, ids: jm.remix(mixup(key), ids, np.array([100, 10, 1, 50, 30])),
    ),
    Call("mamix", lambda key, ids, counts: jm.mamix(each(key), ids, counts)),
    Call("balance", lambda key, level: jm.balance(each(key), level)),
    Call("balance, batch", lambda key, level: jm.balance(mixup(key), level)),
    Call("restore_energy", lambda key, table: jm.restore_energy(each(key), table)),
    Call(
        "restore_energy, positions",
        lambda key, images, mask, lam, partners: jm.restore_energy(
            _hand(mask, lam, partners), images
        ),
    ),
    Call("transmix", lambda key, saliency: jm.transmix(cutmix(key), saliency)),
    Call(
        "transmix, coarser",
        lambda key, saliency, hard, lam, share: jm.transmix(
            _hand(hard, lam), saliency[:, ::2, ::2], area=share
        ),
    ),
    Call(
        "align_labels",
        lambda key, attention: jm.align_labels(
            jm.resize_mix(cutmix(key), (2, 2)), [attention, attention]
        ),
    ),
    Call(
        "align_labels, heads and mean",
        lambda key, attention, mask, lam: jm.align_labels(
            jm.resize_mix(_hand(mask, lam), (2, 2)), [attention[:, None]], read="mean"
        ),
    ),
    Call("fit_partner", lambda key, images: jm.fit_partner(cutmix(key), images)),
    Call("fit_partner, each", lambda key, pixels: jm.fit_partner(boxes_each(key), pixels)),
    Call(
        "fit_partner, nearest",
        lambda key, maps: jm.fit_partner(boxes_each(key), maps, method="nearest"),
    ),
    Call(
        "fit_partner, source",
        lambda key, saliency: (lambda mix, source, _: jm.fit_partner(mix, saliency, source=source))(
            *jm.sample_snapmix(key, saliency)
        ),
    ),
    Call(
        "fit_partner, other",
        lambda key, images, before: jm.fit_partner(cutmix(key), images, other=before),
    ),
    Call("pool_given", lambda key, images: jm.pool_given(cutmix(key), images)),
    Call(
        "pool_given, coarser",
        lambda key, images, hard, lam: jm.pool_given(_hand(hard, lam), images[:, ::2, ::2]),
    ),
]

# A second batch in place of the partners' rows.
OTHERS = [
    Call(
        "blend_labels, other ids",
        lambda key, ids, other_ids: jm.blend_labels(
            each(key), ids, other=other_ids, num_classes=K, smoothing=0.1
        ),
    ),
    Call(
        "pair_loss, other",
        lambda key, logits, ids, other_ids: jm.pair_loss(
            each(key), _cross_entropy, logits, ids, other=other_ids
        ),
    ),
    Call(
        "mixed_accuracy, other",
        lambda key, dense, maps, other_maps: jm.mixed_accuracy(
            cutmix(key), dense, maps, other=other_maps
        ),
    ),
    Call(
        "keep, other",
        lambda key, where: jm.keep(boxes_each(key), where, other=jnp.asarray(where)[::-1]),
    ),
    Call(
        "blend_at, other",
        lambda key, images, before: jm.blend_at(each(key), images, layer=0, at=0, other=before),
    ),
    Call(
        "blend_moments, other",
        lambda key, images, before: jm.blend_moments(each(key), images, axes=(1, 2), other=before),
    ),
    Call(
        "regmixup_loss, other",
        lambda key, both, ids, other_ids: jm.regmixup_loss(
            mixup(key), _cross_entropy, both, ids, other=other_ids
        ),
    ),
    Call(
        "decoupled_loss, other",
        lambda key, logits, ids, other_ids: jm.decoupled_loss(
            each(key), logits, ids, other=other_ids
        ),
    ),
    Call(
        "reweigh, other",
        lambda key, saliency, mask: jm.reweigh(cutmix(key), saliency, other=mask),
    ),
    Call(
        "keep_overlap, other",
        lambda key, valid, hard: jm.keep_overlap(boxes_each(key), valid, other=hard),
    ),
    Call(
        "keep_local, other",
        lambda key, images, before: jm.keep_local(each(key), images, radius=2.5, other=before),
    ),
    Call(
        "remix, other",
        lambda key, ids, other_ids, counts: jm.remix(each(key), ids, counts, other=other_ids),
    ),
    Call(
        "mamix, other",
        lambda key, ids, other_ids, counts: jm.mamix(each(key), ids, counts, other=other_ids),
    ),
    Call("balance, other", lambda key, level, lam: jm.balance(each(key), level, other=lam)),
    Call(
        "align_partner, other",
        lambda key, images, before: jm.align_partner(each(key), images, other=before, iterations=5),
    ),
    Call(
        "mix_boxes, other",
        lambda key, boxes, weights, objects, hard, lam: jm.mix_boxes(
            _hand(hard, lam), boxes, weights, objects, other=(boxes + 0.5, weights, objects)
        ),
    ),
    Call(
        "mix_points, other",
        lambda key, points, visible, weights: jm.mix_points(
            cutmix(key), points, visible, other=(points, weights)
        ),
    ),
    Call(
        "mix_instances, other",
        lambda key, outlines, weights, hard, lam: jm.mix_instances(
            _hand(hard, lam), outlines, weights, other=(~outlines, weights)
        ),
    ),
    Call(
        "mixup, other",
        lambda key, images, before, ids, other_ids: jm.mixup(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call(
        "cutmix, other",
        lambda key, images, before, ids, other_ids: jm.cutmix(
            key, images, ids, num_classes=K, per="example", other=(before, other_ids)
        ),
    ),
    Call(
        "mixup_or_cutmix, other",
        lambda key, images, before, soft: jm.mixup_or_cutmix(
            key, images, soft, other=(before, soft[::-1])
        ),
    ),
    Call(
        "mix_batch, other",
        lambda key, images, before, targets, level: jm.mix_batch(
            key, images, targets, jm.sample_gmix, other=(before, level)
        ),
    ),
    Call(
        "resizemix, other",
        lambda key, images, before, ids, other_ids: jm.resizemix(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call(
        "randommix, other",
        lambda key, images, before, ids, other_ids: jm.randommix(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
    Call(
        "stackmix, other",
        lambda key, images, before, ids, other_ids: jm.stackmix(
            key, images, ids, num_classes=K, other=(before, other_ids)
        ),
    ),
]


def _shaped_rows(draw):
    """A sampler that takes a shape, with the options with which the catalogue tests it."""
    name = draw.run.__name__
    sample = partial(draw.run, shape=SHAPE, **draw.tested.options)

    def traced(key, partners, alpha):
        alphas = dict.fromkeys(draw.tested.alphas, alpha)
        return sample(key, per="example", pairing=partners, **alphas)

    yield Call(name, lambda key: sample(key))
    yield Call(f"{name}, pair", lambda key: sample(key, per="pair", pairing=jm.neighbours()))
    yield Call(f"{name}, example and index", traced)
    if takes(draw, "lam_law"):
        yield Call(f"{name}, law", lambda key: sample(key, lam_law=jm.uniform(0.2, 0.9)))


SAMPLERS = [
    *(row for draw in SHAPED for row in _shaped_rows(draw)),
    Call("sample_cutmix, inside", lambda key: cutmix(key, box="inside", axes=(2,))),
    Call(
        "sample_mixup_or_cutmix, traced",
        lambda key, share: jm.sample_mixup_or_cutmix(
            key, SHAPE, switch_prob=share, prob=share, per="pair"
        ),
    ),
    Call("sample_hmix, traced", lambda key, share: jm.sample_hmix(key, SHAPE, ratio=share)),
    Call(
        "sample_gridmix, exact",
        lambda key: jm.sample_gridmix(key, SHAPE, grid=(2, 2), exact=True, per="example"),
    ),
    Call(
        "sample_gridmix, jitter",
        lambda key: jm.sample_gridmix(key, SHAPE, grid=(2, 2), jitter=0.5, per="example"),
    ),
    Call("sample_vhmixup, checkered", lambda key: jm.sample_vhmixup(key, SHAPE, checkered=True)),
    Call("sample_tokenmix, grid", lambda key: jm.sample_tokenmix(key, SHAPE, grid=(2, 2), least=1)),
    Call("sample_fademix, axis", lambda key: jm.sample_fademix(key, SHAPE, axis=2)),
    Call("sample_specmix, bands", lambda key: jm.sample_specmix(key, SHAPE, bands=2)),
    Call("sample_dirichlet", lambda key, alpha: dirichlet(key, alpha=alpha)),
    Call(
        "sample_dirichlet, each and index",
        lambda key, partners: dirichlet(key, per="example", k=2, pairings=(partners,)),
    ),
    Call("sample_ricap", lambda key, alpha: ricap(key, alpha=alpha)),
    Call(
        "sample_ricap, each and index",
        lambda key, partners: ricap(
            key,
            per="example",
            lam_law=jm.uniform(0.2, 0.8),
            pairings=(jm.roll(), partners, jm.reverse()),
        ),
    ),
    Call("sample_classmix", lambda key, maps: jm.sample_classmix(key, maps, num_classes=K)),
    Call(
        "sample_classmix, narrow ids and index",
        lambda key, maps, partners: jm.sample_classmix(
            key, maps.astype(np.uint8), num_classes=300, pairing=partners
        ),
    ),
    Call("sample_span", lambda key, lengths: jm.sample_span(key, lengths, 4)),
    Call(
        "sample_span, saliency and index",
        lambda key, lengths, soft, partners: jm.sample_span(
            key, lengths, 4, saliency=soft[:, :4], lam_law=jm.uniform(0.2, 0.8), pairing=partners
        ),
    ),
    Call(
        "sample_smmix, patch and index",
        lambda key, saliency, partners: jm.sample_smmix(
            key, saliency, sides=(0.5, 0.5), patch=2, pairing=partners
        ),
    ),
]


def _following_rows(draw):
    """A sampler that follows saliency: as it is, and with other options, partners by index."""
    options = {"grid": (2, 2)} if takes(draw, "grid") else {}
    sample, name = partial(draw.run, **options), draw.run.__name__
    other = {"lam_law": jm.uniform(0.2, 0.9)} if takes(draw, "lam_law") else {}
    yield Call(name, lambda key, saliency: sample(key, saliency))
    yield Call(
        f"{name}, index",
        lambda key, saliency, partners: sample(key, saliency, pairing=partners, **other),
    )


SALIENT = [
    *(row for draw in FOLLOWING for row in _following_rows(draw)),
    Call(
        "sample_puzzlemix, colours",
        lambda key, saliency, images, alpha: jm.sample_puzzlemix(
            key, saliency, alpha=alpha, x=images, grid=(2, 2), labels=2, iterations=5
        ),
    ),
    Call(
        "gradient_saliency",
        lambda key, images: jm.gradient_saliency(lambda x: (x * x * x).sum((1, 2, 3)), images),
    ),
    Call(
        "gradient_saliency, blur",
        lambda key, images: jm.gradient_saliency(lambda x: jnp.sin(x).sum(), images, blur=1.0),
    ),
    Call("spectral_residual", lambda key, images: jm.spectral_residual(images), atol=1e-4),
    Call(
        "spectral_residual, smaller",
        lambda key, pixels: jm.spectral_residual(pixels, size=2, blur=0.0),
        atol=1e-4,
    ),
    Call("salient_pairs", lambda key, saliency: jm.salient_pairs(saliency)),
    Call(
        "puzzle_transport",
        lambda key, saliency, hard, lam: jm.puzzle_transport(
            _hand(hard, lam), saliency, grid=(2, 2), iterations=8
        ),
    ),
    Call(
        "puzzle_transport, other",
        lambda key, saliency, hard, lam: jm.puzzle_transport(
            _hand(hard, lam), saliency, other=2 - saliency, grid=(2, 2), iterations=8
        ),
    ),
    Call(
        "move_blocks",
        lambda key, images, maps, blocks: jm.move_blocks((images, maps), blocks, grid=(2, 2)),
    ),
]

LAWS = [
    Call("symmetric_beta", lambda key: jm.symmetric_beta(key, 0.4, (B,))),
    Call("symmetric_beta, traced", lambda key, alpha: jm.symmetric_beta(key, alpha)),
    Call("symmetric_beta, each", lambda key, level: jm.symmetric_beta(key, level, (B,))),
    Call("beta", lambda key: jm.beta(1.4, 0.4)(key, (B,))),
    Call("beta, traced", lambda key, alpha, share: each(key, lam_law=jm.beta(alpha, share))),
    Call("uniform", lambda key: jm.uniform(0.1, 0.6)(key, (B,))),
    Call("uniform, traced", lambda key, share, alpha: each(key, lam_law=jm.uniform(share, alpha))),
    Call("constant", lambda key: jm.constant(0.3)(key, (B,))),
    Call("constant, traced", lambda key, share: mixup(key, lam_law=jm.constant(share))),
    Call("folded_beta", lambda key: jm.folded_beta(0.75)(key, (B,))),
    Call("folded_beta, traced", lambda key, alpha: each(key, lam_law=jm.folded_beta(alpha))),
    Call("affine_uniform", lambda key: jm.affine_uniform(0.9)(key, (B,))),
    Call("affine_uniform, traced", lambda key, share: each(key, lam_law=jm.affine_uniform(share))),
    Call(
        "sample_mixup, law of NumPy", lambda key: mixup(key, lam_law=lambda key, n: np.full(n, 0.3))
    ),
    Call(
        "sample_cutmix, law of another dtype",
        lambda key, targets: boxes_each(key, lam_law=lambda key, n: jnp.asarray(targets)),
    ),
]


def _by(pairing):
    return lambda key, images, lam: jm.take_partner(_hand(lam, lam, pairing), images)


PAIRINGS = [
    Call(
        "Mix", lambda key, table, lam: jm.blend(jm.Mix(jm.roll(2), *[jnp.asarray(lam)] * 2), table)
    ),
    Call("StaticPairing", _by(jm.StaticPairing("roll", shift=3))),
    Call("reverse", _by(jm.reverse())),
    Call("reverse, groups", _by(jm.reverse(groups=2))),
    Call("roll", _by(jm.roll())),
    Call("roll, groups", _by(jm.roll(-1, groups=4))),
    Call("neighbours", _by(jm.neighbours())),
    Call("pairing_for", _by(jm.pairing_for(B, shards=4, backend="cpu"))),
    Call("partner_index", lambda key: jm.partner_index(jm.roll(2), B)),
    Call(
        "partner_index, index",
        lambda key, partners: jm.partner_index(jnp.asarray(partners, jnp.int32), B),
    ),
    Call("permutation", lambda key: jm.permutation(key, B)),
    Call("derangement", lambda key: jm.derangement(key, B)),
    Call("within_class", lambda key, ids: jm.within_class(key, ids)),
    Call("across_class", lambda key, ids: jm.across_class(key, ids)),
    Call("class_balanced", lambda key, ids: jm.class_balanced(key, ids)),
    Call("by_label_kernel", lambda key, targets: jm.by_label_kernel(key, targets, 0.2)),
    Call(
        "by_label_kernel, traced",
        lambda key, table, share: jm.by_label_kernel(key, table, bandwidth=share),
    ),
    Call("nearest", lambda key, table: jm.nearest(key, table)),
    Call("nearest, many", lambda key, pixels: jm.nearest(key, pixels, k=3)),
    Call("sinkhorn", lambda key, saliency: jm.sinkhorn(saliency, iterations=5)),
    Call(
        "sinkhorn, traced",
        lambda key, soft, share: jm.sinkhorn(soft, epsilon=share, iterations=5),
    ),
    Call("transported", lambda key, table: jm.transported(key, table, k=3)),
    Call("align_partner", lambda key, images: jm.align_partner(mixup(key), images, iterations=5)),
    Call(
        "align_partner, index",
        lambda key, images, partners, share: jm.align_partner(
            each(key, pairing=partners), images, epsilon=share, iterations=5
        ),
    ),
]

small = partial(jm.sample_mixup, alpha=0.2)
two = [small, jm.sample_cutmix]

POLICIES = [
    Call("one_of", lambda key: jm.one_of(two, (0.5, 0.5))(key, SHAPE)),
    Call("one_of, pair", lambda key: jm.one_of(two, (0.5, 0.5), per="pair")(key, SHAPE)),
    Call(
        "one_of, example, traced, two pairings",
        lambda key, share: jm.one_of(
            [jm.sample_cutmix, partial(jm.sample_mixup, pairing=jm.roll())],
            [share, 1 - share],
            per="example",
        )(key, SHAPE),
    ),
    Call(
        "one_of, array of probs",
        lambda key, soft: jm.one_of([small, jm.sample_cutmix, small, small, small], soft[0])(
            key, SHAPE
        ),
        cannot={"mesh": "a row of a sharded batch is not what a policy is drawn by"},
    ),
    Call("one_of, tuples", lambda key: jm.one_of([jm.sample_ricap] * 2, (0.5, 0.5))(key, SHAPE)),
    Call("sometimes", lambda key, share: jm.sometimes(jm.sample_cutmix, share)(key, SHAPE)),
    Call("sometimes, pair", lambda key: jm.sometimes(small, 0.5, per="pair")(key, SHAPE)),
    Call(
        "sometimes, example and index",
        lambda key, partners: jm.sometimes(
            partial(jm.sample_cutmix, pairing=partners), 0.5, per="example"
        )(key, SHAPE),
    ),
    Call(
        "sometimes, tuple",
        lambda key: jm.sometimes(jm.sample_ricap, 0.5, per="example")(key, SHAPE),
    ),
    Call("own_label", lambda key: jm.own_label(jm.sample_cutmix)(key, SHAPE)),
    Call("own_label, tuple", lambda key: jm.own_label(jm.sample_dirichlet)(key, SHAPE)),
    Call("preset, deit", lambda key: jm.preset("deit")(key, SHAPE)),
    Call(
        "preset_smoothing",
        lambda key, ids: jm.blend_labels(
            jm.preset("deit")(key, SHAPE), ids, num_classes=K, smoothing=jm.preset_smoothing("deit")
        ),
    ),
    Call("preset, cutmix-cifar", lambda key: jm.preset("cutmix-cifar")(key, SHAPE)),
    Call("preset, big_vision", lambda key: jm.preset("big_vision-light2")(key, SHAPE)),
    Call("preset, samplepairing", lambda key: jm.preset("samplepairing")(key, SHAPE)),
    Call("preset, interval", lambda key: jm.preset("random-row-interval")(key, SHAPE)),
    Call("preset, rows", lambda key: jm.preset("random-rows")(key, SHAPE)),
    Call("preset, random-2x2", lambda key: jm.preset("random-2x2")(key, SHAPE)),
]

RECIPES = [
    Call("mixup", lambda key, images, ids: jm.mixup(key, images, ids, num_classes=K)),
    Call(
        "mixup, pixels and soft labels",
        lambda key, pixels, soft, alpha, share: jm.mixup(
            key, pixels, soft, alpha=alpha, smoothing=share, dtype=jnp.uint8, per="pair"
        ),
    ),
    Call(
        "mixup, numbers and index",
        lambda key, table, targets, partners: jm.mixup(
            key, table, targets, per="example", pairing=partners
        ),
    ),
    Call(
        "mixup, trees",
        lambda key, images, table, ids, targets: jm.mixup(
            key, {"i": images, "t": table}, (ids, targets), num_classes=K
        ),
    ),
    Call(
        "cutmix",
        lambda key, images, ids: jm.cutmix(key, images, ids, num_classes=K, smoothing=0.1),
    ),
    Call(
        "cutmix, pixels and index",
        lambda key, pixels, soft, partners: jm.cutmix(
            key, pixels, soft, dtype=jnp.bfloat16, per="example", pairing=partners, box="inside"
        ),
    ),
    Call(
        "mixup_or_cutmix",
        lambda key, images, ids: jm.mixup_or_cutmix(key, images, ids, num_classes=K),
    ),
    Call(
        "mixup_or_cutmix, example",
        lambda key, pixels, soft, share: jm.mixup_or_cutmix(
            key, pixels, soft, switch_prob=share, per="example", dtype=jnp.float32
        ),
    ),
    Call(
        "mix_batch",
        lambda key, images, ids: jm.mix_batch(key, images, ids, jm.sample_gmix, num_classes=K),
    ),
    Call(
        "mix_batch, tuple",
        lambda key, pixels, soft: jm.mix_batch(
            key, pixels, soft, jm.sample_ricap, smoothing=0.1, dtype=jnp.uint8
        ),
    ),
    Call(
        "mix_batch, preset",
        lambda key, images, ids: jm.mix_batch(key, images, ids, jm.preset("rsb"), num_classes=K),
    ),
    Call("resizemix", lambda key, images, ids: jm.resizemix(key, images, ids, num_classes=K)),
    Call(
        "resizemix, example",
        lambda key, pixels, soft: jm.resizemix(
            key, pixels, soft, smoothing=0.1, dtype=jnp.uint8, per="example"
        ),
    ),
    Call(
        "recursivemix",
        lambda key, images, ids, before, soft: jm.recursivemix(
            key, images, ids, (before, soft), num_classes=K
        ),
        cannot={"bf16": "the last step's labels are float32, as those of ids are"},
    ),
    Call(
        "recursivemix, traced",
        lambda key, images, soft, before, share: jm.recursivemix(
            key, images, soft, (before, soft), share=share, per="example"
        ),
    ),
    Call(
        "randommix",
        lambda key, images, ids: jm.randommix(
            key, images, ids, alphas=(0.2, 1.0), num_classes=K, smoothing=0.1
        ),
    ),
    Call(
        "randommix, soft", lambda key, pixels, soft: jm.randommix(key, pixels, soft, dtype="uint8")
    ),
    Call("stackmix", lambda key, images, ids: jm.stackmix(key, images, ids, num_classes=K)),
    Call(
        "stackmix, axis",
        lambda key, pixels, soft: jm.stackmix(key, pixels, soft, axis=2, smoothing=0.1),
    ),
]


def _block(weights) -> learned.MixBlock:
    return nnx.merge(BLOCK[0], weights)


def _region(weights) -> learned.PolicyRegion:
    return nnx.merge(REGION[0], weights)


def _features(images, saliency):
    """Of two rows, in float32 and with λ as the last channel, as the samplers give them."""
    z = jnp.concatenate([images, saliency[..., None]], axis=-1).reshape(B, -1, 4)
    z = z.astype(jnp.float32)
    return z, z[::-1]


LEARNED = [
    Call(
        "PolicyRegion",
        lambda key, table, region: _region(region)(key, jnp.asarray(table), jnp.sin(table)),
    ),
    Call(
        "sample_adamixup",
        lambda key, table, region, partners: learned.sample_adamixup(
            key, _region(region), jnp.asarray(table), pairing=partners
        ),
    ),
    Call(
        "MixBlock",
        lambda key, images, saliency, block: _block(block).affinity(*_features(images, saliency)),
    ),
    Call(
        "sample_automix",
        lambda key, images, block: learned.sample_automix(
            key, _block(block), jnp.asarray(images), (8, 8)
        ),
    ),
    Call(
        "sample_automix, law and index",
        lambda key, images, block, partners: learned.sample_automix(
            key,
            _block(block),
            jnp.asarray(images),
            SPATIAL,
            lam_law=jm.uniform(0.2, 0.8),
            pairing=partners,
        ),
    ),
    Call(
        "sample_adautomix",
        lambda key, images, block, alpha: learned.sample_adautomix(
            key, _block(block), jnp.asarray(images), (8, 8), alpha=alpha
        ),
    ),
]

CALLS = [
    *VERBS,
    *LOSSES,
    *WEIGHTS,
    *OTHERS,
    *SAMPLERS,
    *SALIENT,
    *LAWS,
    *PAIRINGS,
    *POLICIES,
    *RECIPES,
    *LEARNED,
]
# Functions whose results have the dtype of what they are given, float64 and int64 too.
FOLLOW = {
    "Mix",
    "add_noise",
    "align_partner",
    "blend",
    "blend_at",
    "blend_labels",
    "blend_moments",
    "cutmix",
    "fit_partner",
    "mix_batch",
    "mix_boxes",
    "mix_instances",
    "mix_points",
    "mixup",
    "mixup_or_cutmix",
    "move_blocks",
    "neighbours",
    "pair_loss",
    "pairing_for",
    "PolicyRegion",
    "randommix",
    "recursivemix",
    "regmixup_loss",
    "resizemix",
    "restore_energy",
    "reverse",
    "roll",
    "select",
    "stackmix",
    "StaticPairing",
    "take_partner",
}
