"""What is applied to inputs, labels and features."""

import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.calls.base import (
    B,
    Call,
    K,
    boxes_each,
    cutmix,
    dirichlet,
    each,
    gmix,
    hand,
    mixup,
    ricap,
)

APPLY = [
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
    Call("blend, by hand", lambda key, images, mask, lam: jm.blend(hand(mask, lam), images)),
    Call("blend, maps", lambda key, saliency, mask, lam: jm.blend(hand(mask, lam), saliency)),
    Call("blend, bool mask", lambda key, images, hard, lam: jm.blend(hand(hard, lam), images)),
    Call(
        "blend, index",
        lambda key, images, mask, lam, partners: jm.blend(hand(mask, lam, partners), images),
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
    Call("select, by hand", lambda key, maps, hard, lam: jm.select(hand(hard, lam), maps)),
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
        "blend_labels, other ids",
        lambda key, ids, other_ids: jm.blend_labels(
            each(key), ids, other=other_ids, num_classes=K, smoothing=0.1
        ),
    ),
    Call("blend_at", lambda key, images: jm.blend_at(cutmix(key), images, layer=1, at=1)),
    Call(
        "blend_at, traced",
        lambda key, images, table, step: jm.blend_at(
            each(key), (images, table), layer=step - 65, at=0
        ),
    ),
    Call(
        "blend_at, other",
        lambda key, images, before: jm.blend_at(each(key), images, layer=0, at=0, other=before),
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
            hand(mask, lam), images, axes=(-1,), detach=True
        ),
    ),
    Call(
        "blend_moments, tuple",
        lambda key, images: jm.blend_moments(dirichlet(key), images, axes=(1,)),
    ),
    Call(
        "blend_moments, other",
        lambda key, images, before: jm.blend_moments(each(key), images, axes=(1, 2), other=before),
    ),
    Call(
        "blend_quantiles", lambda key, images: jm.blend_quantiles(mixup(key), images, axes=(1, 2))
    ),
    Call(
        "blend_quantiles, positions",
        lambda key, images, mask, lam: jm.blend_quantiles(hand(mask, lam), images, axes=(-1,)),
    ),
    Call(
        "blend_quantiles, tuple",
        lambda key, images: jm.blend_quantiles(dirichlet(key), images, axes=(2, 1)),
    ),
    Call(
        "blend_quantiles, other",
        lambda key, images, before: jm.blend_quantiles(
            each(key), images, axes=(1, 2), other=before
        ),
    ),
    Call("blend_amplitude", lambda key, images: jm.blend_amplitude(mixup(key), images)),
    Call(
        "blend_amplitude, traced",
        lambda key, pixels, share: jm.blend_amplitude(
            each(key), pixels, low=share, dtype=jnp.float32
        ),
        atol=1e-3,  # of 255
    ),
    Call(
        "blend_amplitude, tuple and index",
        lambda key, images, mask, lam, partners: jm.blend_amplitude(
            (hand(lam, lam, partners), each(key)), images, axes=(2,), low=0.3
        ),
    ),
    Call(
        "blend_amplitude, other",
        lambda key, images, before: jm.blend_amplitude(each(key), images, low=0.25, other=before),
    ),
    Call("same_source", lambda key: jm.same_source(cutmix(key))),
    Call("same_source, by hand", lambda key, hard, lam: jm.same_source(hand(hard, lam), extra=1)),
    Call("same_source, tuple", lambda key: jm.same_source(ricap(key), extra=2)),
    Call("unmix", lambda key, images: jm.unmix(cutmix(key), images)),
    Call(
        "unmix, each, tree",
        lambda key, maps, pixels: jm.unmix(boxes_each(key, pairing=jm.roll()), (maps, pixels)),
    ),
    Call(
        "unmix, index",
        lambda key, images, hard, lam, partners: jm.unmix(hand(hard, lam, partners), images),
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
    Call("blend_sphere", lambda key, table: jm.blend_sphere(each(key), table)),
    Call(
        "blend_sphere, positions",
        lambda key, images, mask, partners: jm.blend_sphere(
            hand(mask, mask[:, 0, 0], partners), images
        ),
    ),
    Call(
        "blend_sphere, other",
        lambda key, images, before: jm.blend_sphere(mixup(key), images, other=before),
    ),
    Call("restore_energy", lambda key, table: jm.restore_energy(each(key), table)),
    Call("restore_energy, tuple", lambda key, table: jm.restore_energy(dirichlet(key), table)),
    Call(
        "restore_energy, positions",
        lambda key, images, mask, lam, partners: jm.restore_energy(
            hand(mask, lam, partners), images
        ),
    ),
    Call("combine", lambda key, square, images: jm.combine(square, images)),
    Call(
        "combine, tree of narrow ids and pixels",
        lambda key, square, ids, pixels: jm.combine(
            square, {"y": ids.astype(np.uint8), "x": pixels}, num_classes=300, dtype="bfloat16"
        ),
    ),
    Call("combine, fewer", lambda key, square, soft: jm.combine(square[:, :3].T, soft)),
    Call("zeta_weights", lambda key: jm.zeta_weights(key, B)),
    Call("zeta_weights, traced", lambda key, alpha: jm.zeta_weights(key, B, gamma=alpha)),
    Call("dirichlet_weights", lambda key: jm.dirichlet_weights(key, 12, B)),
    Call("dirichlet_weights, each", lambda key, lam: jm.dirichlet_weights(key, B, 3, alpha=lam)),
    Call("anchor_weights", lambda key, ids: jm.anchor_weights(ids)),
    Call(
        "anchor_weights, traced",
        lambda key, ids, alpha: jm.anchor_weights(ids.astype(np.uint8), gamma=alpha),
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
        lambda key, images, hard, lam: jm.pool_given(hand(hard, lam), images[:, ::2, ::2]),
    ),
    Call(
        "align_partner, other",
        lambda key, images, before: jm.align_partner(each(key), images, other=before, iterations=5),
    ),
    Call("align_partner", lambda key, images: jm.align_partner(mixup(key), images, iterations=5)),
    Call(
        "align_partner, index",
        lambda key, images, partners, share: jm.align_partner(
            each(key, pairing=partners), images, epsilon=share, iterations=5
        ),
    ),
]
