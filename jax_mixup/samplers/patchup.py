"""PatchUp: blocks of hidden features, swapped or mixed."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, below
from jax_mixup._entry import public
from jax_mixup._geometry import padded
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


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
    """Draw a PatchUp: blocks of hidden features are swapped or mixed with the partner's.

        m = 1 outside the blocks, λ inside;  λᵢ = mean m
        P(a block at a place where it fits) = γ Π nₐ / (bₐ (nₐ - bₐ + 1))

    Axis a has n positions and a block has b of them, so that blocks are expected to have γ Π nₐ
    positions in total. They may overlap, and change about the fraction 1 - exp(-γ) of positions.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) of the features, with one spatial axis or more. If its last axis is
        that of the channels, `block=(7, 7, 1)` gives each channel blocks of its own.
      gamma: γ >= 0, the expected fraction of positions in blocks, where overlaps count twice; 0
        turns mixing off. It may be traced.
      block: the side of a block, one number for all axes or one for each; a side that is longer
        than its axis is cut to the axis.
      lam_law: the distribution of λ inside the blocks, for the soft PatchUp; the authors' is
        `jm.beta(2.0, 2.0)`. None gives the hard PatchUp: λ = 0, and the mask is bool.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask, or a float32 one with a `lam_law`: [1, *spatial] for per="batch", else
      [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `gamma` is negative, `per` is unknown, or
        `block` is neither an int >= 1 nor a tuple with one for each spatial axis.

    Example:
      >>> mix = jm.sample_patchup(jax.random.key(0), (8, 16, 16), block=3)
      >>> mix.mask.dtype, bool(mix.lam[0] == mix.mask.mean())
      (dtype('bool'), True)

    Faramarzi et al. 2020, arXiv:2006.07794, who train on CIFAR-10 with γ = 0.5 (hard) and 0.75
    (soft). In their code each channel has its own blocks, whose centres may lie where a block does
    not fit, so that small maps lose far more than γ; here all blocks fit, as in DropBlock, Ghiasi
    et al. 2018, arXiv:1810.12890. Their loss is the sum of two terms of the same value, each of
    which equals `pair_loss`.
    """
    name = "sample_patchup"
    draw = Draw(name, shape, per, pairing, gamma=gamma)
    spatial = draw.spatial
    sides = tuple(block) if isinstance(block, (tuple, list)) else (block,) * len(spatial)
    if len(sides) != len(spatial) or not _checks.ints(sides) or min(sides) < 1:
        raise ValueError(
            f"{name} got block={block!r} for {len(spatial)} spatial axes; it needs an int >= 1, or "
            "a tuple with one for each axis."
        )
    sides = tuple(min(int(side), size) for side, size in zip(sides, spatial, strict=True))
    places = tuple(n - b + 1 for n, b in zip(spatial, sides, strict=True))
    law, u = draw.law_and_uniforms(key, lam_law, math.prod(places))
    rate = math.prod(spatial) / math.prod(sides) / math.prod(places)
    starts = below(u.T, jnp.asarray(gamma).astype(jnp.float32) * rate)  # never for NaN
    blocks = draw.tie(_grown(starts.T.reshape(-1, *places), sides))
    if lam_law is None:
        return draw.mix(~blocks)
    lam, share = draw.tie(law(1.0)), _geometry.share(~blocks)  # lam_law uses no alpha
    mask = jnp.where(blocks, padded(lam, blocks.ndim), 1.0)
    return draw.mix(mask, share + (1 - share) * lam)


def _grown(starts: Bool[Array, "n *places"], sides: tuple[int, ...]) -> Bool[Array, "n *spatial"]:
    """Extend each start to a block, one axis at a time, which takes Σ b steps, not Π b."""
    for axis, side in enumerate(sides, start=1):
        one = [1] * starts.ndim
        window, padding = list(one), [(0, 0)] * starts.ndim
        window[axis], padding[axis] = side, (side - 1, side - 1)
        starts = jax.lax.reduce_window(starts, False, jax.lax.bitwise_or, window, one, padding)
    return starts
