"""TokenMix: several blocks of tokens from the partner."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup._loops import iterate
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw

ATTEMPTS = 64  # with 14 x 14 tokens none is missing at λ = 0.2, and 2 are at 0.05


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

        m = 0 in blocks B₁ ∪ B₂ ∪ …, of at most (1-λ) of the tokens;  λᵢ = the fraction outside

    The number of tokens that a block aims at is uniform, from `least` to the number still missing;
    the ratio of its sides is log-uniform in [0.3, 1/0.3], and its place is uniform. A block is
    pasted only if it adds no more tokens than are missing. 64 blocks are tried, so that for λ below
    0.2 a few tokens may be missing in the end. `lam` is counted from the mask.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      grid: how many tokens each spatial axis has: (14, 14) for images of 224 x 224 in patches
        of 16 x 16. None makes each position a token.
      least: the fewest tokens that a block aims at, unless fewer are missing.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, `per` is unknown,
        `grid` is not one number from 1 to the size for each spatial axis, or `least` < 1.

    Example:
      >>> mix = jm.sample_tokenmix(
      ...     jax.random.key(0), (8, 224, 224), grid=(14, 14), lam_law=jm.constant(0.5)
      ... )
      >>> mix.mask.shape, round(float(mix.lam[0]) * 14 * 14)
      ((1, 224, 224), 98)

    Liu et al. 2022, TokenMix, arXiv:2207.08409, with the blocks of BEiT. Their code fixes λ = ½,
    adds the 14 tokens to the number that is masked, allows blocks of one token, and stops when ten
    blocks one after another do not fit. Their labels follow a teacher's maps: for that, call
    `reweigh`.
    """
    name = "sample_tokenmix"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    tokens = spatial if grid is None else _checks.grid(name, grid, spatial)
    least = _checks.whole(name, "least", least, 1)
    lam, u = draw.numbers(key, alpha, lam_law, ATTEMPTS * 2 * len(tokens))
    wanted = jnp.round((1 - jax.lax.stop_gradient(lam)) * math.prod(tokens))
    u = u.reshape(-1, ATTEMPTS, 2 * len(tokens))
    mask = _geometry.enlarge(_blocks(wanted, u, tokens, least), spatial)
    return draw.mix(mask)


@one_program("tokens", "least")
def _blocks(
    wanted: Float[Array, "n"], u: Float[Array, "n k r"], tokens: tuple[int, ...], least: int
) -> Bool[Array, "n *tokens"]:
    """Make a mask that is False in the blocks, on `wanted` tokens or a few less."""
    rank = len(tokens)
    axes = tuple(range(1, rank + 1))
    sizes = jnp.asarray(tokens, jnp.float32)[None, :]

    def paste(state: tuple[Array, Array], u: Array) -> tuple[Array, Array]:
        mask, rest = state
        low = jnp.minimum(least, rest)
        area = low + u[:, 0] * (rest - low)
        # Half of the logarithm of the ratio of two sides.
        stretch = (u[:, 1:rank] - 0.5) * math.log(1 / 0.3)
        stretch = jnp.concatenate([stretch, -stretch.sum(axis=1, keepdims=True)], axis=1)
        side = jnp.round(area[:, None] ** (1 / rank) * jnp.exp(stretch))
        side = jnp.clip(side, 1, sizes)
        start = jnp.minimum(jnp.floor(u[:, rank:] * (sizes - side + 1)), sizes - side)
        start, stop = start.astype(jnp.int32), (start + side).astype(jnp.int32)
        outside = _geometry.outside_box(start, stop, tokens)
        new = (mask & ~outside).sum(axes, dtype=jnp.float32)
        fits = new <= rest
        mask = mask & (outside | padded(~fits, mask.ndim))
        return mask, jnp.where(fits, rest - new, rest)

    whole = jnp.broadcast_to(padded(wanted >= 0, rank + 1), (wanted.shape[0], *tokens))
    return iterate(paste, (whole, wanted), jnp.moveaxis(u, 1, 0), together=4)[0]
