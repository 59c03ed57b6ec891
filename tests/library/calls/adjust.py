"""What changes the masks and weights of a mix."""

import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.calls.base import Call, boxes_each, cutmix, each, hand, mixup, ricap

ADJUST = [
    Call("resize_mix, coarser", lambda key: jm.resize_mix(cutmix(key), (2, 3))),
    Call("resize_mix, finer", lambda key, hard, lam: jm.resize_mix(hand(hard, lam), (8, 4))),
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
        "keep, other",
        lambda key, where: jm.keep(boxes_each(key), where, other=jnp.asarray(where)[::-1]),
    ),
    Call(
        "overlay",
        lambda key, hard, lam: jm.overlay(boxes_each(key), hand(hard, lam, jm.roll())),
    ),
    Call("overlay, soft", lambda key, mask, lam: jm.overlay(mixup(key), hand(mask, lam))),
    Call("reweigh", lambda key, saliency: jm.reweigh(cutmix(key), saliency)),
    Call("reweigh, bool", lambda key, valid: jm.reweigh(boxes_each(key), valid)),
    Call("reweigh, no positions", lambda key, saliency: jm.reweigh(each(key), saliency)),
    Call(
        "reweigh, by hand",
        lambda key, saliency, mask, lam, partners: jm.reweigh(hand(mask, lam, partners), saliency),
    ),
    Call(
        "reweigh, other",
        lambda key, saliency, mask: jm.reweigh(cutmix(key), saliency, other=mask),
    ),
    Call("keep_overlap", lambda key, valid: jm.keep_overlap(cutmix(key), valid)),
    Call("keep_overlap, soft", lambda key, valid: jm.keep_overlap(mixup(key), valid)),
    Call(
        "keep_overlap, other",
        lambda key, valid, hard: jm.keep_overlap(boxes_each(key), valid, other=hard),
    ),
    Call("keep_local", lambda key, table: jm.keep_local(mixup(key), table, radius=0.5)),
    Call(
        "keep_local, traced",
        lambda key, images, share: jm.keep_local(boxes_each(key), images, radius=6 * share),
    ),
    Call(
        "keep_local, other",
        lambda key, images, before: jm.keep_local(each(key), images, radius=2.5, other=before),
    ),
    Call("warp_by_distance", lambda key, table: jm.warp_by_distance(each(key), table)),
    Call(
        "warp_by_distance, traced",
        lambda key, images, alpha, share: jm.warp_by_distance(
            mixup(key), images, tau_max=alpha, tau_std=share
        ),
    ),
    Call(
        "warp_by_distance, other",
        lambda key, images, before, lam, partners: jm.warp_by_distance(
            hand(lam, lam, partners), images, other=before
        ),
    ),
    Call("inverse", lambda key, lam: jm.inverse(hand(lam, lam, jm.roll(1, 2)))),
    Call("remix", lambda key, ids, counts: jm.remix(each(key), ids, counts)),
    Call(
        "remix, list of counts",
        lambda key, ids: jm.remix(mixup(key), ids, np.array([100, 10, 1, 50, 30])),
    ),
    Call(
        "remix, other",
        lambda key, ids, other_ids, counts: jm.remix(each(key), ids, counts, other=other_ids),
    ),
    Call("mamix", lambda key, ids, counts: jm.mamix(each(key), ids, counts)),
    Call(
        "mamix, other",
        lambda key, ids, other_ids, counts: jm.mamix(each(key), ids, counts, other=other_ids),
    ),
    Call("balance", lambda key, level: jm.balance(each(key), level)),
    Call("balance, batch", lambda key, level: jm.balance(mixup(key), level)),
    Call("balance, other", lambda key, level, lam: jm.balance(each(key), level, other=lam)),
    Call(
        "sumix",
        lambda key, logits, soft, ids: jm.sumix(each(key), logits, soft, ids, scale=3.0),
    ),
    Call(
        "sumix, other",
        lambda key, logits, soft, ids, other_ids, share, partners: jm.sumix(
            each(key, pairing=partners),
            logits,
            2 * soft,
            ids.astype(np.uint8),
            scale=share,
            other=(soft, other_ids.astype(np.uint8)),
        ),
    ),
    Call("transmix", lambda key, saliency: jm.transmix(cutmix(key), saliency)),
    Call(
        "transmix, coarser",
        lambda key, saliency, hard, lam, share: jm.transmix(
            hand(hard, lam), saliency[:, ::2, ::2], area=share
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
            jm.resize_mix(hand(mask, lam), (2, 2)), [attention[:, None]], read="mean"
        ),
    ),
]
