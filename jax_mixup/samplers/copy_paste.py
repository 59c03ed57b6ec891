"""Copy-paste: some of the partner's objects, pasted."""

import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._draws import Law
from jax_mixup._entry import public
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_copy_paste(
    key: PRNGKeyArray,
    ids: Shaped[ArrayLike, "b *spatial"],
    *,
    num_objects: int,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a copy-paste: a random subset of the partner's objects, pasted into the example.

        mᵢ = 0 where idsₚ ∈ Sᵢ, else 1;  Sᵢ ⊂ {1, …, N}, each with probability 1 - λ;
        λᵢ = mean mᵢ, the fraction kept

    Of a partner with n objects, 0, 1, …, n are pasted with equal probability, and all subsets of
    one size are equally likely: that is what λ ~ Beta(1, 1) means here. `mix_objects` gives the
    objects of the result, with boxes, areas and weights.

    Args:
      key: a PRNG key.
      ids: i[B, *spatial], which object is seen at each position: 1 to N, and 0 for the background.
        Any other id, such as -1 or 255, is of no object and is never pasted: give it to crowds and
        to what is to be ignored.
      num_objects: N, the most objects that an example may have.
      alpha: concentration of λ ~ Beta(α, α), where each object of the partner is pasted with
        probability 1 - λ: 1 makes all numbers of objects equally likely, a large value pastes half
        of them. It may be traced; 0 turns mixing off. λ is drawn for each example, from one alpha
        or from one for each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]`. With
        `jm.constant(0.0)` all objects are pasted, with `jm.constant(0.7)` each with probability
        0.3; `alpha` is then not used.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a bool mask [B, *spatial], True where the example itself stays.

    Raises:
      TypeError: If `ids` are not integers.
      ValueError: If `ids` have no spatial axis, `num_objects` is not an int >= 1, or a static
        `alpha` is negative.

    Example:
      >>> ids = jnp.array([[0, 0, 1, 1], [1, 2, 0, 0]])
      >>> mix = jm.sample_copy_paste(jax.random.key(5), ids, num_objects=2)
      >>> mix.mask.astype(int).tolist(), mix.lam.tolist()
      ([[0, 1, 1, 1], [1, 1, 0, 0]], [0.75, 0.5])

    Ghiasi et al. 2021, arXiv:2012.07177. The subset is that of MMDetection; torchvision's reference
    draws n objects with replacement. Their large-scale jitter is not part of this: scale, flip and
    crop pictures and id maps before. Edges are not blurred, so that each position is of one
    picture; the paper found that blurring makes little difference.
    """
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"sample_copy_paste got ids of dtype {ids.dtype}; it needs integers, the number of the "
            "object at each position: of masks [B, N, *spatial] make (masks.argmax(1) + 1) * "
            "masks.any(1)."
        )
    draw = Draw("sample_copy_paste", ids.shape, "example", pairing, alpha=alpha)
    n = _checks.whole("sample_copy_paste", "num_objects", num_objects, 1)
    lam, u = draw.numbers(key, alpha, lam_law, n)
    pasted = jnp.pad(u >= lam[:, None], ((0, 0), (1, 0)))  # the first is no object
    theirs = _checks.int32(move_rows(draw.pairing, ids)).reshape(draw.batch, -1)
    theirs = jnp.where((theirs >= 1) & (theirs <= n), theirs, 0)
    mask = ~jnp.take_along_axis(pasted, theirs, axis=1)
    return draw.mix(mask.reshape(ids.shape))
