"""mixup: the whole of two examples, averaged."""

from jaxtyping import ArrayLike, PRNGKeyArray

from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_mixup(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    per: str = "batch",
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a mixup: the whole of two examples, averaged.

        mᵢ = λᵢ, λᵢ ~ Beta(α, α)

    The mask has no spatial axes, so the mix applies to inputs and hidden features of any shape.

    Args:
      key: a PRNG key.
      shape: (B, ...), of which only B is used.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. It is one number, or an array with one for each draw.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      per: "batch" draws once for all examples, "example" once for each; "pair" draws once for both
        examples of a pair, and needs a mutual pairing such as `reverse()`; "group" draws once for
        each group of a pairing such as `reverse(groups=8)`.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a float32 mask: [1] for per="batch", else [B].

    Raises:
      ValueError: If `shape` is not a tuple of positive ints, a static `alpha` is negative, or `per`
        is unknown.

    Example:
      >>> x = jnp.ones((8, 32, 32, 3))
      >>> mix = jm.sample_mixup(jax.random.key(0), x.shape[:-1], alpha=0.2)
      >>> mix.mask.shape, mix.lam.shape, jm.blend(mix, x).shape
      ((1,), (8,), (8, 32, 32, 3))

    Zhang et al. 2018, arXiv:1710.09412. The authors' code pairs by a random permutation
    (`permutation(key, B)`); reversal gives the same distribution for a shuffled batch, without a
    gather.
    """
    draw = Draw("sample_mixup", shape, per, pairing, spatial=False, alpha=alpha)
    lam, _ = draw.numbers(key, alpha, lam_law)
    return draw.mix(lam, lam)
