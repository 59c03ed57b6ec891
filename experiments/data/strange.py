"""Pictures that show no digit, as many and as large as those of some digits."""

import jax
import numpy as np
from jaxtyping import Array, Float, Float32
from sklearn.datasets import load_sample_images


def photos(x: Float[Array, "n h w 1"]) -> Float32[np.ndarray, "n h w 1"]:
    """Grey patches at random places of the two photographs that scikit-learn ships.

    They are shrunk by four, as a patch would otherwise have little more than a single colour, and
    each is stretched to [0, 1].
    """
    rng, (height, width) = np.random.default_rng(0), x.shape[1:3]
    patches = []
    for photo in rng.choice(load_sample_images().images, len(x)):
        top, left = (rng.integers(photo.shape[i] - 4 * x.shape[i + 1]) for i in (0, 1))
        patch = photo[top : top + 4 * height, left : left + 4 * width]
        patch = patch.reshape(height, 4, width, 4, 3).mean((1, 3, 4))
        patches.append((patch - patch.min()) / max(np.ptp(patch), 1))
    return np.stack(patches)[..., None].astype(np.float32)


def shuffled(x: Float[Array, "n h w 1"]) -> Float[Array, "n h w 1"]:
    """The digits themselves, the pixels of each in an order of its own."""
    key, pixels = jax.random.key(0), x.reshape(len(x), -1)
    return jax.random.permutation(key, pixels, axis=1, independent=True).reshape(x.shape)


KINDS = {"photos": photos, "shuffled": shuffled}
