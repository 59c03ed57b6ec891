"""What each method makes of a pair of pictures: the blend, the mask, and the label's weights.

All draw with λ = 0.6 where they have a law of λ, from one key. White in a mask is the row's own
share. Saliency is the spectral residual, which needs no model; Attentive CutMix, Puzzle Mix,
Saliency Grafting, SnapMix and SMMix would take a network's, and learned masks are not here.

The pictures are those that scikit-learn ships: china.jpg by danielbuechele and flower.jpg by
vultilion, CC BY 2.0, here cut to squares.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from PIL import Image
from sklearn.datasets import load_sample_images

import jax_mixup as jm
from experiments import cli

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NAMES = ("pagoda", "flower", "trees", "petals")
SIZE, COLUMNS = 224, 10
Drawn = tuple[Any, Array, Array]  # the mix, the blend, and the mask as a picture
Draw = Callable[[PRNGKeyArray, Array], Drawn]
LAW = jm.constant(0.6)


@dataclasses.dataclass(frozen=True)
class Config:
    """Draw the gallery."""

    out: Path = Path("results/gallery.png")
    """The picture to write."""
    seed: int = 4
    """Of all draws."""


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


def pictures() -> UInt8[np.ndarray, "4 h w c"]:
    """Two pictures, and another part of each."""
    pagoda, flower = load_sample_images().images
    squares = [pagoda[:426, 107:533], flower[:426, 107:533]]
    squares += [pagoda[:240, 400:640], flower[186:426, 214:454]]
    return np.stack([np.asarray(Image.fromarray(s).resize((SIZE, SIZE))) for s in squares])


def weights(mix: Any) -> str:
    """What the first row's label becomes."""
    soft = np.asarray(jm.blend_labels(mix, jnp.arange(4), num_classes=4))[0]
    return ", ".join(f"{100 * w:.0f} % {n}" for w, n in zip(soft, NAMES, strict=True) if w > 0.005)


def draw(axes: Any, name: str, mix: Any, picture: Array, mask: Float[Array, "h w"]) -> None:
    """One method: the blend above its mask."""
    axes[0].imshow(np.clip(np.asarray(picture), 0, 255).astype(np.uint8))
    axes[0].set_title(name, fontsize=9)
    axes[1].imshow(np.asarray(mask), cmap="gray", vmin=0, vmax=1)
    text = weights(mix)
    text = text.replace(", ", "\n", 1) if text.count(",") == 1 else text.replace(", ", "\n")
    axes[1].set_xlabel(text, fontsize=7)


def main(config: Config) -> None:
    """Mix the pictures by each method and draw blends, masks and weights."""
    images = jnp.asarray(pictures(), jnp.float32)
    rows = -(-(len(METHODS) + len(NAMES) // 2) // COLUMNS)
    size = (1.45 * COLUMNS, 3.45 * rows)
    figure, axes = plt.subplots(2 * rows, COLUMNS, figsize=size, layout="constrained")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    places = [axes[2 * (i // COLUMNS) :, i % COLUMNS] for i in range(rows * COLUMNS)]
    for i, name in enumerate(NAMES):
        axis = places[i % 2][i // 2]
        axis.imshow(np.asarray(images[i], np.uint8))
        axis.set_title(name, fontsize=9)
    key = jax.random.key(config.seed)
    for place, (name, method) in zip(places[2:], METHODS.items(), strict=False):
        draw(place, name, *jax.jit(method)(key, images))
    for place in places[2 + len(METHODS) :]:
        for axis in place[:2]:
            axis.set_axis_off()
    config.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.out, dpi=75, pil_kwargs={"optimize": True})
    print(f"Written: {config.out}")


if __name__ == "__main__":
    cli.main("gallery", Config, main, __doc__)
