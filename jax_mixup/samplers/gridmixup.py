"""GridMixup: the partner is visible through a lattice of holes."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_gridmixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    holes: tuple[int, int] = (2, 6),
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a GridMixup: the partner is visible through a regular lattice of holes.

        mᵢ = 0 in holes of side (1-λ)^(1/d) of their cell, 1 elsewhere;  λᵢ = the fraction elsewhere

    There are n holes along each axis, where all n ∈ {n₁, …, n₂} are equally likely, and the lattice
    is shifted cyclically by a random part of a cell.

    Args:
      key: a PRNG key.
      shape: (B, *spatial) with one spatial axis or more: `x.shape[:-1]` for channels last.
        If channels come first, move them: `x = jnp.moveaxis(x, 1, -1)`.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      holes: the bounds n₁ and n₂ of the number of holes along each axis, both inclusive.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask: [1, *spatial] for per="batch", else [B, *spatial].

    Raises:
      ValueError: If `shape` has no spatial axis, a static `alpha` is negative, `per` is unknown, or
        the bounds are not 1 <= n₁ <= n₂.

    Example:
      >>> half = jm.constant(0.5)
      >>> mix = jm.sample_gridmixup(jax.random.key(0), (4, 8), holes=(2, 2), lam_law=half)
      >>> mix.mask[0].astype(jnp.int32).tolist()
      [0, 0, 1, 1, 0, 0, 1, 1]

    GridMixup, github.com/IlyaDobrynin/GridMixup. There cells are squares that start at the corner
    of a random crop, and a hole never fills its cell; here cells have the image's aspect ratio,
    and the lattice moves.
    """
    name = "sample_gridmixup"
    draw = Draw(name, shape, per, pairing, alpha=alpha)
    spatial = draw.spatial
    bounds = _checks.bounds(name, "holes", holes, "1 <= low <= high", 1.0)
    low, high = (_checks.whole(name, "holes", bound, 1) for bound in bounds)
    lam, u = draw.numbers(key, alpha, lam_law, 1 + len(spatial))
    number = low + jnp.minimum(jnp.floor(u[:, :1] * (high - low + 1)), high - low)
    side = (1 - jax.lax.stop_gradient(lam[:, None])) ** (1 / len(spatial))
    number, side = _geometry.fusion_barrier(jnp.stack([number, side]))
    hole = jnp.ones((1,) * len(shape), bool)
    for axis, size in enumerate(spatial, start=1):
        middle = (jnp.arange(size, dtype=jnp.float32)[None, :] + 0.5) / size
        phase = jnp.mod(middle * number + u[:, axis, None], 1.0)
        hole &= _geometry.spread(phase < side, (axis,), spatial)
    return draw.mix(~hole)
