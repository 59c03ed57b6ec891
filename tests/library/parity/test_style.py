"""Style, masks over channels, and tokens, against their authors' code, which `make_style` ran."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.parity.cases import KEY, Case, boxed, f32, i32, run, same

last = lambda x: np.moveaxis(x, -3, -1)  # their channels come first


@pytest.mark.parametrize("size", ["even", "odd"])
def test_fda(size):
    case = Case("fda")
    x, other = last(case[f"{size}_x"]), last(case[f"{size}_other"])
    swap = jm.Mix(jm.reverse(), jnp.zeros(1), jnp.ones(2))

    def ours(low):
        return jm.blend_amplitude(swap, f32(x), other=f32(other), low=low)

    same(run(jax.vmap(ours), case.lows), last(case[f"{size}_mixed"]), atol=1e-3)  # of 255


def test_fact():
    """Both of their results, for the whole spectrum and for a square of 5 x 5 frequencies."""
    case = Case("fact")
    for i, low in enumerate((None, 2 / 12)):

        def ours(lam, x, other, low=low):
            mix = jm.Mix(jm.reverse(), 1 - lam, jnp.ones(3))  # their λ is the other's weight
            return jm.blend_amplitude(mix, x, other=other, low=low)

        same(run(ours, case.lam[i], case.x, case.other), case.mixed[i], atol=1e-3)
        same(run(ours, case.lam[i], case.other, case.x), case.swapped[i], atol=1e-3)


def test_efdmix():
    """The features, and the gradient."""
    case = Case("efdmix")

    def ours(lam, x):
        mix = jm.Mix(i32(case.index), lam, lam)
        blend = lambda x: jm.blend_quantiles(mix, x, axes=(2, 3))  # of their [B, C, H, W]
        return blend(x), jax.grad(lambda x: (blend(x) * f32(case.weights)).sum())(x)

    mixed, gradient = run(ours, case.lam, case.x)
    same(mixed, case.mixed)
    same(gradient, case.gradient)


def test_hidmix():
    """A mask over channels, as HOWTO.md moves them."""
    case = Case("hidmix")
    mix = jm.Mix(i32(case.index), jnp.asarray(case.u < case.lam[:, None]), f32(case.lam))

    def ours(x):
        mixed = jm.blend(mix, jnp.moveaxis(x, -1, 1))
        return jnp.moveaxis(mixed, 1, -1), jm.blend_labels(mix, i32(case.y), num_classes=3)

    mixed, labels = run(ours, case.x)
    same(mixed, case.mixed)
    same(labels, case.labels)


def test_mixmae():
    """The mixed tokens, attention within a source, the decoder's two inputs, and the loss."""
    case = Case("mixmae")
    kept = jnp.asarray(case.mask == 0)[None]
    mix = jm.Mix(jm.reverse(), kept, jnp.full(4, 0.5))
    patches = case.x.reshape(4, 3, 4, 2, 4, 2).transpose(0, 2, 4, 3, 5, 1).reshape(4, 16, 12)

    def ours(patches, rebuilt, token):
        tokens = jm.select(mix, patches)
        x = tokens[:, :, None]
        attended = jax.nn.dot_product_attention(x, x, x, mask=jm.same_source(mix)[:, None])
        own, theirs = (jnp.where(m[..., None], tokens, token) for m in (kept, ~kept))
        first, second = rebuilt[:4], rebuilt[4:]
        whole = jm.select(mix, jm.take_partner(mix, second), other=first)
        loss = jnp.square(whole - patches).mean()
        return tokens, jnp.concatenate([own, theirs]), loss, attended[:, :, 0]

    found = run(ours, patches, case.rebuilt, case.token)
    for ours, theirs in zip(
        found, (case.mixed, case.decoded, case.loss, case.attended), strict=True
    ):
        same(ours, theirs)


def test_mixtoken():
    case = Case("mixtoken")
    labels, dense = case.target[:, :, 1], np.moveaxis(case.target[:, :, 2:], 1, -1)

    def ours(mask, x):
        mix = jm.Mix(jm.reverse(), mask[None], jnp.full(5, mask.mean()))
        tokens = jm.select(mix, x)
        total = tokens.sum((1, 2))
        back = jm.unmix(mix, tokens + 0.1 * total[:, None, None]).reshape(5, 36, 4)
        cross_entropy = lambda logits, labels: -(labels * jax.nn.log_softmax(logits)).sum(-1)
        loss = cross_entropy(total, jm.blend_labels(mix, f32(labels))).mean()
        return total, back, loss + cross_entropy(back, f32(dense)).mean()

    masks = jnp.asarray(boxed(case.boxes, (6, 6)))
    found = jax.tree.map(np.asarray, jax.jit(jax.vmap(ours, (0, None)))(masks, f32(last(case.x))))
    for ours, theirs in zip(found, (case.cls, case.tokens, case.loss), strict=True):
        same(ours, theirs, atol=1e-5)


def test_mergemix():
    """The mask as HOWTO.md makes it: the example's own most salient tokens stay."""
    case = Case("mergemix")
    attention = case.attention.sum(1)[:, :, 0]  # their tokens' attention to the class token

    def ours(lam, index, x):
        saliency = jnp.take_along_axis(f32(attention), i32(case.merged), axis=1)
        near = jm.sample_attentive_cutmix(
            KEY,
            saliency.reshape(4, 4, 4),
            grid=(4, 4),
            lam_law=lambda key, shape: jnp.full(shape, 1 - lam),
            pairing=jnp.arange(4),
        )
        mix = jm.Mix(index.astype(jnp.int32), ~near.mask, 1 - near.lam)
        return jm.blend(jm.resize_mix(mix, (8, 8)), x), mix.lam

    found = run(jax.vmap(ours, (0, 0, None)), case.lam, case.index, last(case.x))
    same(found[0], last(case.mixed))
    same(found[1], case.share)
