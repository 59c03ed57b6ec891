"""timm, torchvision, Keras and kornia: the page's code means what it says of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.library.migrating.cases import shown
from tests.library.parity.cases import KEY, same

IDS = np.int32([3, 0, 9, 5, 7])  # an odd batch, of different classes


def of(title, images=None):
    """The page's names. By default an example's pixels are its class."""
    if images is None:
        images = np.broadcast_to(IDS[:, None, None, None], (5, 8, 8, 3))
    images, model = jnp.asarray(images, jnp.float32), lambda x: jnp.zeros((len(x), 10))
    return shown(title, key=KEY, images=images, labels=jnp.asarray(IDS), model=model)


def test_timm():
    """The labels are smoothed, and λ is each example's own."""
    ours = of("timm")
    assert len(set(np.asarray(ours["mix"].lam).tolist())) > 2
    one_hot, lam = np.eye(10)[IDS], np.asarray(ours["mix"].lam)[:, None]
    soft = lam * one_hot + (1 - lam) * one_hot[::-1]
    same(ours["soft"], 0.9 * soft + 0.01)
    same(ours["loss"], np.log(10))


def test_torchvision(draw):
    """Example i is mixed with example i - 1."""
    images, one_hot = np.random.default_rng(0).random((5, 8, 8, 3), np.float32), np.eye(10)[IDS]
    draw(0.75, [0.0, 0.0])
    ours = of("torchvision", images)
    same(ours["x"], 0.75 * images + 0.25 * np.roll(images, 1, axis=0))
    same(ours["y"], 0.75 * one_hot + 0.25 * np.roll(one_hot, 1, axis=0))


@pytest.mark.parametrize("title", ["Keras 3", "kornia"])
def test_labels_have_the_weight_of_their_pixels(title):
    """Also where two boxes overlap."""
    ours = of(title)
    x, y = np.asarray(ours["x"]), np.asarray(ours["y"])
    shares = (x[..., :1] == np.arange(10)).mean(axis=(1, 2))
    same(y, shares)
    own = y[np.arange(5), IDS]
    assert len(set(own.tolist())) > 2  # each example has a box of its own
    if title == "kornia":
        boxes = [~np.asarray(ours[name].mask) for name in ("first", "second")]
        assert (boxes[0] & boxes[1]).any()
        assert (y[own < 1] > 0).sum(axis=1).max() == 3
