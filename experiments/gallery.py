"""What each method does to a pair of pictures: blends, masks and label weights.

The pictures are those that scikit-learn ships: china.jpg by danielbuechele and flower.jpg by
vultilion, CC BY 2.0, here cut to squares.
"""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from sklearn.datasets import load_sample_images

import jax_mixup as jm
from experiments import cli

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SAMPLERS = {
    "mixup": partial(jm.sample_mixup, alpha=1.0),
    "CutMix, clipped box": partial(jm.sample_cutmix, alpha=1.0),
    "CutMix, box inside": partial(jm.sample_cutmix, alpha=1.0, box="inside"),
    "mixup or CutMix": partial(jm.sample_mixup_or_cutmix, per="example"),
    "GridMix, 6 × 6": partial(jm.sample_gridmix, grid=(6, 6)),
    "CowMix": partial(jm.sample_cowmix, sigma=(16.0, 32.0)),
    "FadeMixUp": partial(jm.sample_fademix, axis=2),
    "SpecMix": partial(jm.sample_specmix, bands=2),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Draw the gallery."""

    out: Path = Path("results/gallery.png")
    """The picture to write."""
    seed: int = 37
    """Of all draws."""


def main(config: Config) -> None:
    """Mix the two pictures by each method and draw rows, masks and weights."""
    names = ("pagoda", "flower")
    images = np.stack([image[:426, 107:533] for image in load_sample_images().images])
    figure, axes = plt.subplots(
        3, 1 + len(SAMPLERS), figsize=(2 * (1 + len(SAMPLERS)), 7), layout="constrained"
    )
    for axis, image, name in zip(axes[:, 0], images, names, strict=False):
        axis.imshow(image)
        axis.set_title(name, fontsize=10)
    axes[2, 0].text(
        0.98, 0.5, "mask of the\nupper row:\nwhite is its\nown share", ha="right", va="center"
    )
    for axis in (*axes[:2].flat, axes[2, 0]):
        axis.set_axis_off()
    for column, (name, sampler) in zip(axes.T[1:], SAMPLERS.items(), strict=True):
        mix = sampler(jax.random.key(config.seed), images.shape[:-1])
        mixed = jm.blend(mix, images, dtype=jnp.uint8)
        weights = jm.blend_labels(mix, jnp.arange(2), num_classes=2)
        for axis, image, weight in zip(column, np.asarray(mixed), weights, strict=False):
            axis.imshow(image)
            shares = [f"{100 * w:.0f} % {n}" for w, n in zip(weight, names, strict=True) if w > 0]
            axis.text(
                0.5,
                -0.03,
                ", ".join(shares),
                ha="center",
                va="top",
                fontsize=8.5,
                transform=axis.transAxes,
            )
        column[0].set_title(name, fontsize=10)
        mask = jm.blend(mix, jnp.stack([jnp.ones(images.shape[1:3]), jnp.zeros(images.shape[1:3])]))
        column[2].imshow(mask[0], cmap="gray", vmin=0, vmax=1)
        column[2].set(xticks=[], yticks=[])
        column[2].set_title(f"λ = {mix.lam[0]:.3f}", fontsize=9, y=-0.14)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.out, dpi=90, pil_kwargs={"optimize": True})
    print(f"Written: {config.out}")


if __name__ == "__main__":
    cli.main("gallery", Config, main, __doc__)
