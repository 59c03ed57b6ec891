"""What each method makes of a pair of pictures: the blend, the mask, and the label's weights.

The methods are those of `experiments.catalogue`. All that have a distribution of λ draw with λ =
0.6, and all use one key. White in a mask is the picture's own part. Saliency is the spectral
residual, which needs no model; Attentive CutMix, Puzzle Mix, Saliency Grafting, SnapMix and SMMix
would use a network's saliency. Learned masks are not shown.

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
from experiments import catalogue
from experiments.draws import Draw, Options
from experiments.harness import cli

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NAMES = ("pagoda", "flower", "trees", "petals")
COLUMNS, SIZE = 10, 224
HEIGHT, DPI = 3.45, 75  # inches of a row, and pixels an inch


@dataclasses.dataclass(frozen=True)
class Config:
    """Draw the gallery."""

    out: Path = Path("results/gallery")
    """Folder for gallery.png, and for row.png, its first row."""
    seed: int = 4
    """Seed of all draws."""


def pictures() -> UInt8[np.ndarray, "4 h w c"]:
    """Two pictures, and another part of each."""
    pagoda, flower = load_sample_images().images
    squares = [pagoda[:426, 107:533], flower[:426, 107:533]]
    squares += [pagoda[:240, 400:640], flower[186:426, 214:454]]
    return np.stack([np.asarray(Image.fromarray(s).resize((SIZE, SIZE))) for s in squares])


def shown(draw: Draw, options: Options, key: PRNGKeyArray, images: Array) -> tuple:
    """The mix, the blend of the first picture, and how much of it is its own at each position."""
    mix, own, other = draw(key, images, made=jm.spectral_residual(images), **options)
    whole = jnp.broadcast_to((jnp.arange(len(own)) == 0)[:, None, None], own.shape[:3])
    mask = jm.blend(mix, whole, dtype=jnp.float32)
    return mix, jm.blend(mix, own, other=other)[0], mask[0]


def methods() -> dict[str, Callable[..., tuple]]:
    """What is drawn of the catalogue, by the names that the picture has."""
    return {
        name: partial(shown, draw, options)
        for draw in catalogue.draws()
        for name, options in draw.gallery.items()
    }


def weights(mix: Any) -> str:
    """The label's weights for the first picture."""
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
    drawn = methods()
    rows = -(-(len(drawn) + len(NAMES) // 2) // COLUMNS)
    size = (1.45 * COLUMNS, HEIGHT * rows)
    figure, axes = plt.subplots(2 * rows, COLUMNS, figsize=size, layout="constrained")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    places = [axes[2 * (i // COLUMNS) :, i % COLUMNS] for i in range(rows * COLUMNS)]
    for i, name in enumerate(NAMES):
        axis = places[i % 2][i // 2]
        axis.imshow(np.asarray(images[i], np.uint8))
        axis.set_title(name, fontsize=9)
    key = jax.random.key(config.seed)
    for place, (name, method) in zip(places[2:], drawn.items(), strict=False):
        draw(place, name, *jax.jit(method)(key, images))
    for place in places[2 + len(drawn) :]:
        for axis in place[:2]:
            axis.set_axis_off()
    config.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.out / "gallery.png", dpi=DPI, pil_kwargs={"optimize": True})
    with Image.open(config.out / "gallery.png") as whole:
        row = whole.convert("RGB").crop((0, 0, whole.width, int(HEIGHT * DPI)))
    row.quantize(255).save(config.out / "row.png", optimize=True)  # a small file
    print(f"Written: gallery.png and row.png in {config.out}")


if __name__ == "__main__":
    cli.main("gallery", Config, main, __doc__)
