"""Samplers: those that take a shape, and those that follow an array."""

from functools import partial

import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.calls.base import (
    SHAPE,
    B,
    Call,
    K,
    boxes_each,
    cutmix,
    dirichlet,
    hand,
    mixup,
    ricap,
)
from tests.library.methods import FOLLOWING, SHAPED, takes


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


def _following_rows(draw):
    """A sampler that follows saliency: as it is, and with other options, partners by index."""
    options = {"grid": (2, 2)} if takes(draw, "grid") else {}
    sample, name = partial(draw.run, **draw.tested.options, **options), draw.run.__name__
    other = {"lam_law": jm.uniform(0.2, 0.9)} if takes(draw, "lam_law") else {}
    yield Call(name, lambda key, saliency: sample(key, saliency))
    yield Call(
        f"{name}, index",
        lambda key, saliency, partners: sample(key, saliency, pairing=partners, **other),
    )


SAMPLERS = [
    *(row for draw in SHAPED for row in _shaped_rows(draw)),
    Call("sample_cutmix, inside", lambda key: cutmix(key, box="inside", axes=(2,))),
    Call(
        "sample_cutmix, law of another dtype",
        lambda key, targets: boxes_each(key, lam_law=lambda key, n: jnp.asarray(targets)),
    ),
    Call(
        "sample_mixup_or_cutmix, traced",
        lambda key, share: jm.sample_mixup_or_cutmix(
            key, SHAPE, switch_prob=share, prob=share, per="pair"
        ),
    ),
    Call(
        "sample_mixup_or_cutmix, axes",
        lambda key: jm.sample_mixup_or_cutmix(key, SHAPE, axes=(2,), per="example"),
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
    Call(
        "sample_dirichlet, groups, count and sort",
        lambda key, step, alpha: dirichlet(
            key, per="group", groups=2, count=jnp.asarray(step) % 3 + 1, sort=True, alpha=alpha
        ),
    ),
    Call("sample_mixup, group", lambda key: mixup(key, per="group", pairing=jm.roll(1, 4))),
    Call(
        "sample_cutmix, group of an index, even box",
        lambda key: cutmix(
            key, per="group", box="even", pairing=jm.permutation(key, SHAPE[0], groups=2)
        ),
    ),
    Call("no_mix", lambda key: jm.no_mix(B)),
    Call("from_weights", lambda key, soft: jm.from_weights(soft, groups=1)),
    Call("sample_ricap", lambda key, alpha: ricap(key, alpha=alpha)),
    Call("sample_ricap, groups", lambda key: ricap(key, per="group", groups=2)),
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
    Call("sample_copy_paste", lambda key, maps: jm.sample_copy_paste(key, maps, num_objects=K)),
    Call(
        "sample_copy_paste, narrow ids, alpha and index",
        lambda key, maps, partners, alpha: jm.sample_copy_paste(
            key, maps.astype(np.uint8), num_objects=200, alpha=alpha, pairing=partners
        ),
    ),
    Call(
        "sample_lasermix",
        lambda key, images, valid: jm.sample_lasermix(key, images[:, 0] - 0.5, valid[:, 0]),
    ),
    Call(
        "sample_lasermix, sectors and index",
        lambda key, images, valid, partners: jm.sample_lasermix(
            key, images[:, 1] - 0.5, valid[:, 0], sectors=2, pairing=partners
        ),
    ),
    Call(
        "sample_polarmix",
        lambda key, images, valid: jm.sample_polarmix(key, images[:, 0] - 0.5, valid[:, 0]),
    ),
    Call(
        "sample_polarmix, objects, traced and index",
        lambda key, images, valid, hard, share, partners: jm.sample_polarmix(
            key,
            images[:, 1] - 0.5,
            valid[:, 0],
            instances=hard[:, 0],
            swap_prob=share,
            paste_prob=share,
            pairing=partners,
        ),
    ),
    Call(
        "sample_pointcutmix",
        lambda key, images, valid: jm.sample_pointcutmix(key, images[:, 0], valid[:, 0]),
    ),
    Call(
        "sample_pointcutmix, random, alpha and index",
        lambda key, images, valid, partners, alpha: jm.sample_pointcutmix(
            key, images[:, 1], valid[:, 0], region="random", alpha=alpha, pairing=partners
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
    *(row for draw in FOLLOWING for row in _following_rows(draw)),
    Call(
        "sample_puzzlemix, colours",
        lambda key, saliency, images, alpha: jm.sample_puzzlemix(
            key, saliency, alpha=alpha, x=images, grid=(2, 2), labels=2, iterations=5
        ),
    ),
    Call(
        "puzzle_transport",
        lambda key, saliency, hard, lam: jm.puzzle_transport(
            hand(hard, lam), saliency, grid=(2, 2), iterations=8
        ),
    ),
    Call(
        "puzzle_transport, other",
        lambda key, saliency, hard, lam: jm.puzzle_transport(
            hand(hard, lam), saliency, other=2 - saliency, grid=(2, 2), iterations=8
        ),
    ),
    Call(
        "move_blocks",
        lambda key, images, maps, blocks: jm.move_blocks((images, maps), blocks, grid=(2, 2)),
    ),
    Call(
        "sample_mixup, law of NumPy", lambda key: mixup(key, lam_law=lambda key, n: np.full(n, 0.3))
    ),
]
