"""The methods that `experiments.gallery` draws, each as `(key, pictures) -> mix, blend, mask`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm

SIZE = 224
Drawn = tuple[Any, Array, Array]  # the mix, the blend, and the mask as a picture
Draw = Callable[[PRNGKeyArray, Array], Drawn]
LAW = jm.constant(0.6)


def shown(mix: Any, images: Array, other: Any = None) -> Drawn:
    """The blend of the first row, and how much of it is its own at each position."""
    whole = jnp.broadcast_to((jnp.arange(len(images)) == 0)[:, None, None], images.shape[:3])
    own = jm.blend(mix, whole, dtype=jnp.float32)
    return mix, jm.blend(mix, images, other=other)[0], own[0]


def keyed(sampler: Callable, *, law: bool = True, **options: Any) -> Draw:
    """A method that draws from the key alone."""
    options |= {"lam_law": LAW} if law else {}
    pair = {} if sampler in (jm.sample_ricap, jm.sample_dirichlet) else {"pairing": jm.neighbours()}
    return lambda key, x: shown(sampler(key, x.shape[:3], **options, **pair), x)


def salient(sampler: Callable, *, law: bool = True, **options: Any) -> Draw:
    """A method that follows saliency."""
    options |= {"lam_law": LAW} if law else {}

    def draw(key: PRNGKeyArray, x: Array) -> Drawn:
        saliency = jm.spectral_residual(x)
        return shown(sampler(key, saliency, pairing=jm.neighbours(), **options), x)

    return draw


def paired(key: PRNGKeyArray, x: Array) -> Drawn:
    half = partial(jm.sample_mixup, lam_law=jm.constant(0.5), pairing=jm.neighbours())
    return shown(jm.own_label(half)(key, x.shape[:3]), x)


def resized(key: PRNGKeyArray, x: Array) -> Drawn:
    mix = jm.sample_resizemix(key, x.shape[:3], scale=(0.6, 0.7), pairing=jm.neighbours())
    return shown(mix, x, jm.fit_partner(mix, x))


def snapped(key: PRNGKeyArray, x: Array) -> Drawn:
    cam = jm.spectral_residual(x)
    mix, source, _ = jm.sample_snapmix(key, cam, lam_law=LAW, pairing=jm.neighbours())
    return shown(mix, x, jm.fit_partner(mix, x, source=source))


def smmixed(key: PRNGKeyArray, x: Array) -> Drawn:
    attention = jm.spectral_residual(x).reshape(-1, 14, 16, 14, 16).mean((2, 4))
    mix, source = jm.sample_smmix(key, attention, patch=16, pairing=jm.neighbours())
    return shown(mix, x, jm.fit_partner(mix, x, source=source))


def puzzled(key: PRNGKeyArray, x: Array) -> Drawn:
    saliency, pairs = jm.spectral_residual(x), jm.neighbours()
    mix = jm.sample_puzzlemix(key, saliency, lam_law=LAW, grid=(14, 14), pairing=pairs)
    own, other = jm.puzzle_transport(mix, saliency, grid=(14, 14))
    other = jm.move_blocks(jm.take_partner(mix, x), other, grid=(14, 14))
    return shown(mix, jm.move_blocks(x, own, grid=(14, 14)), other)


def boxes(key: PRNGKeyArray, x: Array) -> Drawn:
    keys = jax.random.split(key, 3)
    cut = partial(jm.sample_cutmix, lam_law=jm.constant(0.75))
    layers = [cut(k, x.shape[:3], pairing=jm.roll(-i)) for i, k in enumerate(keys, start=1)]
    return shown(jm.overlay(*layers), x)


def stacked(key: PRNGKeyArray, x: Array) -> Drawn:
    """Two halves as high; drawn at half the scale."""
    tall, _ = jm.stackmix(key, x[:2], jnp.eye(2))
    mix = jm.Mix(jm.neighbours(), jnp.full(1, 0.5), jnp.full(len(x), 0.5))
    mask = jnp.broadcast_to(jnp.arange(2 * SIZE)[:, None] < SIZE, (2 * SIZE, SIZE))
    return mix, tall[0], mask.astype(jnp.float32)


METHODS: dict[str, Draw] = {
    "mixup": keyed(jm.sample_mixup),
    "CutMix, clipped box": keyed(jm.sample_cutmix),
    "CutMix, box inside": keyed(jm.sample_cutmix, box="inside"),
    "FMix": keyed(jm.sample_fmix),
    "ResizeMix": resized,
    "GridMix, 6 × 6": keyed(jm.sample_gridmix, grid=(6, 6)),
    "GridMixup": keyed(jm.sample_gridmixup),
    "SmoothMix": keyed(jm.sample_smoothmix, law=False),
    "HMix": keyed(jm.sample_hmix),
    "GMix": keyed(jm.sample_gmix),
    "CowMix": keyed(jm.sample_cowmix),
    "TokenMix": keyed(jm.sample_tokenmix, grid=(14, 14)),
    "MaskMix": keyed(jm.sample_gridmix, grid=(4, 4), exact=True),
    "PatchUp": keyed(jm.sample_patchup, law=False, block=32, gamma=0.4),
    "SpecMix": keyed(jm.sample_specmix, bands=2),
    "FadeMixUp": keyed(jm.sample_fademix, axis=2),
    "VH-mixup": keyed(jm.sample_vhmixup),
    "mixed concat": keyed(jm.sample_vhmixup, checkered=True),
    "vertical concat": keyed(jm.sample_cutmix, axes=(1,), box="corner"),
    "horizontal concat": keyed(jm.sample_cutmix, axes=(2,), box="corner"),
    "random 2 × 2": keyed(jm.sample_gridmix, grid=(2, 2), jitter=0.5),
    "random rows": keyed(jm.sample_gridmix, grid=(SIZE, 1)),
    "random columns": keyed(jm.sample_gridmix, grid=(1, SIZE)),
    "random pixels": keyed(jm.sample_gridmix),
    "noisy mixup": keyed(jm.sample_noisymixup, noise=0.1),
    "SamplePairing": paired,
    "RICAP": keyed(jm.sample_ricap, lam_law=jm.constant(0.6), law=False),
    "4 rows, Dirichlet": keyed(jm.sample_dirichlet, law=False, k=4),
    "4 rows, boxes": boxes,
    "StackMix": stacked,
    "SaliencyMix": salient(jm.sample_saliencymix),
    "Attentive CutMix": salient(jm.sample_attentive_cutmix, law=False),
    "GuidedMixup": salient(jm.sample_guidedmixup, law=False, blur=8.0),
    "Saliency Grafting": salient(jm.sample_grafting),
    "SnapMix": snapped,
    "Puzzle Mix, transport": puzzled,
    "SMMix": smmixed,
}
