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


def chosen(mix, both, across, mentor, lisa, labels, domains, sure, trust, **_):
    met = np.asarray(mix.partner)
    mixed = met != np.arange(16)
    assert np.asarray(lisa)[np.arange(16), met][mixed].all() and mixed.any()
    for pairs, rule in ((both, labels), (both, domains), (across, sure)):
        apart = np.asarray(rule)[np.asarray(pairs)] != np.asarray(rule)
        assert (apart | (np.asarray(pairs) == np.arange(16))).all()
    assert ((np.asarray(mentor.lam) >= 0.5) == (np.asarray(trust) >= 0.5)).all()


def warped(mix, tau, **_):
    assert mix.lam.shape == tau.shape == (16,) and np.isfinite(tau).all()
    assert len(set(np.asarray(mix.lam).tolist())) > 8


def combined(mixed, h, soft, many, moved, nodes, loss, **_):
    assert mixed["y"].shape == soft.shape == (16, 10) and h.shape[0] == len(many) == 1000
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert moved[1].shape == (16,) and nodes.shape == (16, 192) and np.isfinite(loss)


def embedded(between, harder, m2_loss, mochi_loss, metrix_loss, **_):
    np.testing.assert_allclose(jnp.linalg.norm(between, axis=1), 1, rtol=1e-5)
    assert harder.shape == (16, 12, 10)
    assert np.isfinite([m2_loss, mochi_loss, metrix_loss]).all() and metrix_loss > 0


def tagged(x, y, union, mix, tags, **_):
    assert x.shape == (20, 8, 8, 3) and y.shape == (20, 10)
    assert (y[16:].sum(axis=1) >= 1).all() and set(np.unique(y)) == {0, 1}
    both = np.asarray(tags) + np.asarray(jm.take_partner(mix, tags)) > 0
    np.testing.assert_array_equal(union, both)


def calibrated(rank, weighed, mix, loss, fewer, **_):
    assert rank.shape == weighed.lam.shape == (16,) and np.isfinite(rank).all()
    assert (np.asarray(mix.lam) < 1).all() and 0 < (np.asarray(fewer.lam) < 1).sum() < 16
    assert np.isfinite(loss)


def consistent(mixed, views, images, loss, **_):
    for made in (mixed, *views[1:]):
        assert made.shape == images.shape and (made >= 0).all() and (made < 1 + 1e-6).all()
        assert (np.asarray(made) != np.asarray(images)).any(axis=(1, 2, 3)).sum() > 4
    assert np.isfinite(loss)
