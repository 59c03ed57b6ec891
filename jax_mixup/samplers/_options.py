"""What samplers share: they check options, draw numbers, tie pairs and count masks."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from jax_mixup import _checks, _geometry
from jax_mixup._draws import Law, law_and_uniforms
from jax_mixup._entry import one_program
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import PER, Pairing, StaticPairing, bind_to_batch, draws, tie
from jax_mixup.pairings.static import roll

PER_SEVERAL = ("batch", "group", "example")  # for samplers with several partners


class Draw:
    """One call of a sampler: it checks the shape and the options, and draws the numbers.

    Attributes:
      batch: B, the number of examples.
      spatial: the sizes of the mask's spatial axes.
      pairing: which example is mixed with which: a static pairing that knows B, or an int32 index
        array.
      n: how many independent draws there are: 1 or B.
    """

    def __init__(
        self,
        function: str,
        shape: object,  # of any type, as pairing is: the checks below say what is wrong with it
        per: str,
        pairing: object,
        *,
        box: str = "clipped",
        spatial: bool = True,
        **alphas: Any,
    ):
        self.batch, *positions = _checks.mask_shape(function, shape, spatial=spatial)
        self.spatial = tuple(positions)
        self.pairing = check_options(function, per, pairing, box, batch=self.batch, **alphas)
        self.n = draws(per, self.batch)
        self._per = per

    def law_and_uniforms(
        self, key: PRNGKeyArray, lam_law: Law | None, others: int, times: int = 1
    ) -> tuple[Callable[[ArrayLike], Float[Array, "n"]], Float[Array, "n others"]]:
        """Return λ as a function of alpha, and other uniform numbers, before pairs are tied."""
        return law_and_uniforms(key, lam_law, others, times * self.n)

    def numbers(
        self, key: PRNGKeyArray, alpha: ArrayLike, lam_law: Law | None, others: int = 0
    ) -> tuple[Float[Array, "n"], Float[Array, "n others"]]:
        """Draw λ and other uniform numbers, the same for both examples of a tied pair."""
        law, u = self.law_and_uniforms(key, lam_law, others)
        return self.tie((law(alpha), u))

    def tie(self, drawn: PyTree[Array]) -> PyTree[Array]:
        """Give both examples of a pair the first one's draw, for per="pair"."""
        return tie(self._per, self.pairing, self.batch, drawn)

    def mix(self, mask: Array, lam: Float[Array, "n"] | None = None) -> Mix:
        """Make a mix of this mask; without `lam` the label weights are counted from a bool mask."""
        lam = _geometry.share(mask) if lam is None else lam
        return Mix(self.pairing, mask, _each(lam, self.batch))


@one_program("batch")
def _each(lam: Float[Array, "n"], batch: int) -> Float[Array, "b"]:
    return jnp.broadcast_to(lam, (batch,))


def check_options(
    function: str,
    per: str,
    pairing: object,
    box: str = "clipped",
    *,
    batch: int,
    **alphas: Any,
) -> Pairing:
    """Check the options; return the pairing, which knows its batch or is an int32 index array."""
    _checks.option(function, "per", per, PER)
    if not isinstance(pairing, StaticPairing):
        _checks.index_array(function, pairing, batch)
        pairing = jnp.asarray(pairing).astype(jnp.int32)
    _checks.option(function, "box", box, _geometry.BOXES)
    for name, value in alphas.items():
        _checks.alpha(function, name, value)
        _checks.each_draw(function, name, value, draws(per, batch), batch)
    return bind_to_batch(pairing, batch)


def check_shares(function: str, draw: Draw, **shares: ArrayLike) -> None:
    """Check that these are numbers in [0, 1], one for all draws or one for each."""
    for name, value in shares.items():
        _checks.share(function, name, value)
        _checks.each_draw(function, name, value, draw.n, draw.batch)


def several_pairings(
    function: str,
    batch: int,
    per: str,
    pairings: object,
    groups: int,
    n: int,
    alpha: ArrayLike = 1.0,
) -> tuple[Pairing, ...]:
    """Check the n pairings for this batch; None means roll(1, groups), ..., roll(n, groups)."""
    _checks.option(function, "per", per, PER_SEVERAL)
    groups = _checks.whole(function, "groups", groups, 1)
    if pairings is None:
        size = batch // groups
        if batch > 1 and size <= n:
            raise ValueError(
                f"{function} got groups of {size} examples and mixes {n + 1} of them; it needs "
                f"groups of {n + 1} or more: drop the last, smaller batch, or give pairings."
            )
        pairings = tuple(roll(shift, groups) for shift in range(1, n + 1))
    elif groups != 1:
        raise ValueError(
            f"{function} got groups={groups} and pairings; it needs one of them: write "
            "pairings=(roll(1, groups=n), …)."
        )
    pairings = _checks.sizes(function, "pairings", pairings, "(roll(1), roll(2), …)")
    if len(pairings) != n:
        raise ValueError(
            f"{function} got {len(pairings)} pairings; it needs {n}, one for each partner."
        )
    return tuple(check_options(function, per, p, batch=batch, alpha=alpha) for p in pairings)


def layers_from(
    weights: Float[Array, "n k"], partners: tuple[Pairing, ...], batch: int
) -> tuple[Mix, ...]:
    """Make a mix of k examples from their weights, which have a sum of 1."""
    below = jnp.cumsum(weights, axis=1)  # the weight of the examples so far
    layers = []
    for j, partner in enumerate(partners, start=1):
        whole = below[:, j - 1] + weights[:, j]
        lam = jnp.where(whole > 0, below[:, j - 1] / jnp.where(whole > 0, whole, 1.0), 1.0)
        layers.append(Mix(partner, lam, jnp.broadcast_to(lam, (batch,))))
    return tuple(layers)
