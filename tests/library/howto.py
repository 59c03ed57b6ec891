"""What the blocks of some sections of HOWTO.md take as given, and have to give."""

import jax.numpy as jnp
import numpy as np

import jax_mixup as jm


def hidden(images):
    """What stands for features: pictures as they are, and in patches of a transformer."""
    return {
        "h": images,
        "tokens": images.reshape(16, 4, 4, 12),
        "first": images.reshape(16, 4, 4, 12),
        "second": images[::-1].reshape(16, 4, 4, 12),
        "attention": images[:, :3, :3].mean(3).reshape(16, 9),
        "merged": jnp.tile(jnp.arange(16) % 9, (16, 1)),
    }


def channelled(mix, mixed, mine, images, **_):
    changed = np.asarray(mixed != images)  # whole channels, but for equal values
    assert not changed[np.asarray(mix.mask)[:, None, None] & np.ones_like(changed)].any()
    np.testing.assert_allclose(1 - changed.any((1, 2)).mean(axis=1), mix.lam, atol=1e-6)
    np.testing.assert_array_equal(
        jm.blend(mine, images[:, 0, 0])[mine.mask], images[:, 0, 0][mine.mask]
    )


def restyled(like_target, images, images2, mix, styled, loss, h, **_):
    np.testing.assert_array_equal(mix.lam, 1)
    np.testing.assert_allclose(like_target.mean((1, 2)), images2.mean((1, 2)), atol=1e-5)
    assert h.shape == styled.shape == images.shape and np.isfinite(loss)


def of_tokens(mix, rebuilt, loss, own, tokens, pixels, saliency, **_):
    """The pictures of first and second are the tokens: each is rebuilt as it was."""
    np.testing.assert_array_equal(rebuilt, tokens)
    assert loss == 0 and own.shape == tokens.shape and pixels.shape == (16, 8, 8, 3)
    for mask, s in zip(np.asarray(mix.mask), np.asarray(saliency), strict=True):
        assert mask.all() or not mask.any() or s[mask].min() >= s[~mask].max()
