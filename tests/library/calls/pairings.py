"""Mixes by each pairing, and pairings by labels and features."""

import jax.numpy as jnp

import jax_mixup as jm
from tests.library.calls.base import B, Call, hand


def _by(pairing):
    return lambda key, images, lam: jm.take_partner(hand(lam, lam, pairing), images)


PAIRINGS = [
    Call("salient_pairs", lambda key, saliency: jm.salient_pairs(saliency)),
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
    Call("permutation, groups", lambda key: jm.permutation(key, B, groups=2)),
    Call(
        "Mix, index within groups",
        lambda key, images, lam: jm.blend(hand(lam, lam, jm.permutation(key, B, groups=2)), images),
    ),
    Call(
        "partner_index, within groups",
        lambda key: jm.partner_index(jm.permutation(key, B, groups=2), B),
    ),
    Call("derangement", lambda key: jm.derangement(key, B)),
    Call("derangement, groups", lambda key: jm.derangement(key, B, groups=4)),
    Call("within_class", lambda key, ids: jm.within_class(key, ids)),
    Call("across_class", lambda key, ids: jm.across_class(key, ids)),
    Call("class_balanced", lambda key, ids: jm.class_balanced(key, ids)),
    Call("by_label_kernel", lambda key, targets: jm.by_label_kernel(key, targets, 0.2)),
    Call(
        "by_label_kernel, traced",
        lambda key, table, share: jm.by_label_kernel(key, table, bandwidth=share),
    ),
    Call("by_weight", lambda key, square: jm.by_weight(key, square)),
    Call("by_weight, bool", lambda key, square: jm.by_weight(key, square > 0.5)),
    Call("by_weight, groups", lambda key, square: jm.by_weight(key, square, groups=2)),
    Call("nearest", lambda key, table: jm.nearest(key, table)),
    Call("nearest, many", lambda key, pixels: jm.nearest(key, pixels, k=3)),
    Call("transported", lambda key, table: jm.transported(key, table, k=3)),
]
