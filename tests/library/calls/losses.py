"""Losses and scores of mixed labels."""

import jax.numpy as jnp

import jax_mixup as jm
from tests.library.calls.base import (
    Call,
    cross_entropy,
    cutmix,
    dirichlet,
    each,
    gmix,
    hand,
    mixup,
    square,
)

LOSSES = [
    Call(
        "pair_loss",
        lambda key, logits, ids: jm.pair_loss(mixup(key), cross_entropy, logits, ids),
    ),
    Call(
        "pair_loss, each and tree",
        lambda key, logits, ids, soft: jm.pair_loss(
            each(key),
            lambda o, t: {"ce": cross_entropy(o, t[0]), "mse": square(o, t[1])},
            logits,
            (ids, soft),
        ),
    ),
    Call(
        "pair_loss, index",
        lambda key, targets, level, partners: jm.pair_loss(
            each(key, pairing=partners), square, targets, level
        ),
    ),
    Call(
        "pair_loss, by mask",
        lambda key, dense, maps: jm.pair_loss(cutmix(key), cross_entropy, dense, maps, by="mask"),
    ),
    Call(
        "pair_loss, by soft mask",
        lambda key, dense, maps, mask, lam: jm.pair_loss(
            hand(mask, lam), cross_entropy, dense, maps, by="mask"
        ),
    ),
    Call(
        "pair_loss, tuple",
        lambda key, logits, ids: jm.pair_loss(dirichlet(key), cross_entropy, logits, ids),
    ),
    Call(
        "pair_loss, other",
        lambda key, logits, ids, other_ids: jm.pair_loss(
            each(key), cross_entropy, logits, ids, other=other_ids
        ),
    ),
    Call("mixed_accuracy", lambda key, logits, ids: jm.mixed_accuracy(mixup(key), logits, ids)),
    Call(
        "mixed_accuracy, soft", lambda key, logits, soft: jm.mixed_accuracy(each(key), logits, soft)
    ),
    Call(
        "mixed_accuracy, first three",
        lambda key, logits, ids: jm.mixed_accuracy(mixup(key), logits, ids, top=3),
    ),
    Call(
        "mixed_accuracy, dense",
        lambda key, dense, maps: jm.mixed_accuracy(cutmix(key), dense, maps),
    ),
    Call(
        "mixed_accuracy, tuple",
        lambda key, logits, ids: jm.mixed_accuracy(dirichlet(key), logits, ids),
    ),
    Call(
        "mixed_accuracy, other",
        lambda key, dense, maps, other_maps: jm.mixed_accuracy(
            cutmix(key), dense, maps, other=other_maps
        ),
    ),
    Call(
        "regmixup_loss",
        lambda key, both, ids, share: jm.regmixup_loss(
            mixup(key), cross_entropy, both, ids, eta=share
        ),
    ),
    Call(
        "regmixup_loss, tuple",
        lambda key, both, soft: jm.regmixup_loss(dirichlet(key), square, both, soft),
    ),
    Call(
        "regmixup_loss, other",
        lambda key, both, ids, other_ids: jm.regmixup_loss(
            mixup(key), cross_entropy, both, ids, other=other_ids
        ),
    ),
    Call("decoupled_loss", lambda key, logits, ids: jm.decoupled_loss(each(key), logits, ids)),
    Call(
        "decoupled_loss, power",
        lambda key, logits, ids, share: jm.decoupled_loss(
            cutmix(key), logits, ids, eta=share, power=0.5
        ),
    ),
    Call(
        "decoupled_loss, other",
        lambda key, logits, ids, other_ids: jm.decoupled_loss(
            each(key), logits, ids, other=other_ids
        ),
    ),
    Call("mixupe_penalty", lambda key, logits, ids: jm.mixupe_penalty(logits, ids, alpha=2.0)),
    Call(
        "mixupe_penalty, traced",
        lambda key, logits, ids, alpha: jm.mixupe_penalty(logits, ids, alpha=alpha),
    ),
    Call(
        "rankmixup_loss",
        lambda key, logits, soft: jm.rankmixup_loss(
            logits, [2 * soft, logits[:, ::-1]], [soft, soft]
        ),
    ),
    Call(
        "rankmixup_loss, margin",
        lambda key, logits, soft, share: jm.rankmixup_loss(
            logits, [logits], [soft], form="mrl", margin=share
        ),
    ),
    Call(
        "sumix_penalty",
        lambda key, logits, soft, ids: jm.sumix_penalty(
            each(key), logits, soft, (soft, logits), ids, scale=3.0
        ),
    ),
    Call(
        "sumix_penalty, other",
        lambda key, logits, soft, ids, other_ids, share: jm.sumix_penalty(
            cutmix(key),
            logits,
            soft,
            (soft, logits),
            ids,
            scale=share,
            other=(logits[:, ::-1], soft, other_ids),
        ),
    ),
    Call("jsd_loss", lambda key, logits, soft: jm.jsd_loss([logits, soft, logits[:, ::-1]])),
    Call("intrusion_loss", lambda key, targets, level: jm.intrusion_loss(targets, level)),
    Call("mask_loss", lambda key, mask, lam: jm.mask_loss(hand(mask, lam))),
    Call("mask_loss, mixup", lambda key: jm.mask_loss(gmix(key), margin=0.0)),
    Call(
        "adautomix_loss",
        lambda key, targets, logits, soft: jm.adautomix_loss(
            dirichlet(key), jnp.asarray(targets), jnp.asarray(logits), jnp.asarray(soft)
        ),
    ),
]
