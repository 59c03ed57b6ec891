"""Samplers of masks of blocks: of tokens, and of positions in hidden features. From the key alone.

They share the options of `samplers`: `per`, `pairing`, `lam_law`; `sample_tokenmix` also `alpha`,
in place of which `sample_patchup` has `gamma`.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from jax_mixup import _checks, masks
from jax_mixup._entry import public
from jax_mixup.laws import Law, below, law_and_uniforms
from jax_mixup.mix import Mix, padded
from jax_mixup.pairing import Pairing, draws, reverse, tie
from jax_mixup.samplers import check_options, hard_mix

ATTEMPTS = 64  # of 14 x 14 tokens none is then missing at λ = 0.2, and 2 at λ = 0.05


@public
def sample_tokenmix(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    grid: tuple[int, ...] | None = None,
    least: int = 14,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a TokenMix: several blocks of the partner's tokens, on the grid of a transformer.

        m = 0 in blocks B₁ ∪ B₂ ∪ …, of at most (1-λ) of the tokens;  λᵢ = the share outside

    A block aims at a uniform number of tokens, from `least` to what is still missing, with a side
    ratio in [0.3, 1/0.3], log-uniform, anywhere. It is laid if it adds no more than are missing; 64
    are tried, so that below λ = 0.2 some tokens may stay. `lam` is counted.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: x.shape[:-1], channels last;
        channels first: see `samplers`.
      alpha, lam_law, per, pairing: see `samplers`.
      grid: how many tokens along each spatial axis: (14, 14) for images of 224 in patches of 16.
        None: each position is a token.
      least: the fewest tokens a block aims at, while as many are missing.

    Returns:
      A mix with a bool mask, [1, *spatial] or [B, *spatial].

    Raises:
      ValueError: for a bad `shape`, a static negative `alpha`, an unknown `per`, a `grid` that is
        not one number from 1 to the size for each spatial axis, or `least` < 1.

    Example:
      >>> mix = jm.sample_tokenmix(
      ...     jax.random.key(0), (8, 224, 224), grid=(14, 14), lam_law=jm.constant(0.5)
      ... )
      >>> mix.mask.shape, round(float(mix.lam[0]) * 14 * 14)
      ((1, 224, 224), 98)

    Liu et al. 2022, TokenMix, arXiv:2207.08409, on the blocks of BEiT. Their code fixes λ = ½, adds
    the 14 tokens to the number that is masked, lets a block be of one token, and tries until ten
    blocks in a row do not fit. Their labels follow a teacher's maps: for that, `reweigh`.
    """
    name = "sample_tokenmix"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, alpha=alpha)
    tokens = tuple(spatial) if grid is None else _checks.grid(name, grid, tuple(spatial))
    least = _checks.whole(name, "least", least, 1)
    rank, n = len(tokens), draws(per, batch)
    law, u = law_and_uniforms(key, lam_law, ATTEMPTS * 2 * rank, n)
    wanted = jnp.round((1 - jax.lax.stop_gradient(law(alpha))) * math.prod(tokens))
    u = u.T.reshape(n, ATTEMPTS, 2 * rank)
    wanted, u = tie(per, pairing, batch, (wanted, u))
    mask = masks.enlarge(_blocks(wanted, u, tokens, least), tuple(spatial))
    return hard_mix(mask, pairing, batch)


def _blocks(
    wanted: Float[Array, "n"], u: Float[Array, "n k r"], tokens: tuple[int, ...], least: int
) -> Bool[Array, "n *tokens"]:
    """False in the blocks, which are as many tokens as are wanted, or fewer."""
    rank = len(tokens)
    axes = tuple(range(1, rank + 1))
    sizes = jnp.asarray(tokens, jnp.float32)[None, :]

    def lay(kept: Array, u: Array) -> tuple[Array, None]:
        rest = wanted - (~kept).sum(axes, dtype=jnp.float32)
        low = jnp.minimum(least, rest)
        area = low + u[:, 0] * (rest - low)
        stretch = (u[:, 1:rank] - 0.5) * math.log(1 / 0.3)  # half of the ratio of two sides
        stretch = jnp.concatenate([stretch, -stretch.sum(axis=1, keepdims=True)], axis=1)
        side = jnp.round(area[:, None] ** (1 / rank) * jnp.exp(stretch))
        side = jnp.clip(side, 1, sizes)
        start = jnp.minimum(jnp.floor(u[:, rank:] * (sizes - side + 1)), sizes - side)
        start, stop = start.astype(jnp.int32), (start + side).astype(jnp.int32)
        outside = masks.outside_box(start, stop, tokens)
        fits = (kept & ~outside).sum(axes, dtype=jnp.float32) <= rest
        return kept & (outside | padded(~fits, kept.ndim)), None

    nothing = jnp.broadcast_to(padded(wanted >= 0, rank + 1), (wanted.shape[0], *tokens))
    return jax.lax.scan(lay, nothing, jnp.moveaxis(u, 1, 0))[0]


@public
def sample_patchup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    gamma: ArrayLike = 0.5,
    block: int | tuple[int, ...] = 7,
    lam_law: Law | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a PatchUp: blocks of hidden features swapped with the partner's, or mixed with them.

        m = 1 outside the blocks, λ inside;  λᵢ = mean m
        P(a block at a place where it fits) = γ Π nₐ / (bₐ (nₐ - bₐ + 1))

    n are the sizes of the axes and b those of a block, so that blocks of γ Π nₐ positions in all
    are expected. They overlap, and change about 1 - exp(-γ) of the positions.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) of the features, with one spatial axis or more. With channels as the last
        axis and `block=(7, 7, 1)` each channel has blocks of its own.
      gamma: γ >= 0, the share in blocks, overlaps counted twice; 0 is off; may be traced.
      block: the side of a block, one for all axes or one for each; at most the axis is taken.
      lam_law: the law of λ inside the blocks, for the soft PatchUp: the authors' is
        `jm.beta(2.0, 2.0)`. None is the hard one: λ = 0, and the mask is bool.
      per, pairing: see `samplers`.

    Returns:
      A mix with a mask [1, *spatial] or [B, *spatial]: bool, or float32 with a `lam_law`.

    Raises:
      ValueError: for a bad `shape`, a static negative `gamma`, an unknown `per`, or a `block` that
        is not one or more for each spatial axis.

    Example:
      >>> mix = jm.sample_patchup(jax.random.key(0), (8, 16, 16), block=3)
      >>> mix.mask.dtype, bool(mix.lam[0] == mix.mask.mean())
      (dtype('bool'), True)

    Faramarzi et al. 2020, arXiv:2006.07794, who run CIFAR-10 with γ = 0.5 hard and 0.75 soft. In
    their code each channel has its own blocks, centred also where they do not fit, so that small
    maps lose far more than γ; here they fit, as in DropBlock, Ghiasi et al. 2018, arXiv:1810.12890.
    Their loss is a sum of two terms of the same value: each is `pair_loss`.
    """
    name = "sample_patchup"
    batch, *spatial = _checks.mask_shape(name, shape, spatial=True)
    pairing = check_options(name, per, pairing, batch=batch, gamma=gamma)
    sides = tuple(block) if isinstance(block, (tuple, list)) else (block,) * len(spatial)
    if len(sides) != len(spatial) or not _checks.ints(sides) or min(sides) < 1:
        raise ValueError(
            f"{name} got block={block!r} for {len(spatial)} spatial axes; it needs an int >= 1, or "
            "a tuple of one for each axis."
        )
    sides = tuple(min(int(side), size) for side, size in zip(sides, spatial, strict=True))
    places = tuple(n - b + 1 for n, b in zip(spatial, sides, strict=True))
    law, u = law_and_uniforms(key, lam_law, math.prod(places), draws(per, batch))
    rate = math.prod(spatial) / math.prod(sides) / math.prod(places)
    starts = below(u, jnp.asarray(gamma).astype(jnp.float32) * rate)  # a NaN is above nothing
    blocks = tie(per, pairing, batch, _grown(starts.T.reshape(-1, *places), sides))
    if lam_law is None:
        return hard_mix(~blocks, pairing, batch)
    lam, share = tie(per, pairing, batch, law(1.0)), masks.share(~blocks)  # lam_law's: no alpha
    mask = jnp.where(blocks, padded(lam, blocks.ndim), 1.0)
    return Mix(pairing, mask, jnp.broadcast_to(share + (1 - share) * lam, (batch,)))


def _grown(starts: Bool[Array, "n *places"], sides: tuple[int, ...]) -> Bool[Array, "n *spatial"]:
    """True in the blocks that start where it was; an axis at a time, which takes Σ b, not Π b."""
    for axis, side in enumerate(sides, start=1):
        one = [1] * starts.ndim
        window, padding = list(one), [(0, 0)] * starts.ndim
        window[axis], padding[axis] = side, (side - 1, side - 1)
        starts = jax.lax.reduce_window(starts, False, jax.lax.bitwise_or, window, one, padding)
    return starts
