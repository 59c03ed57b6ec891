"""Policies: they take samplers and return a sampler `(key, shape) -> Mix`, so that they nest.

Set a sampler's options with `functools.partial`.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup.laws import below
from jax_mixup.mix import Mix, mix_where
from jax_mixup.pairing import PER, StaticPairing, draws, partner_index, tie

Sampler = Callable[[PRNGKeyArray, tuple[int, ...]], Mix]


def one_of(
    samplers: Sequence[Sampler], probs: Sequence[ArrayLike] | Array, *, per: str = "batch"
) -> Sampler:
    """Make the sampler that draws one of several.

        mix = samplers[k](key, shape),  P(k) = probs[k]

    All are drawn and one is kept, without a branch, so that blending stays one fusion. For mixup
    against CutMix, `sample_mixup_or_cutmix` does the same with one draw.

    Args:
      samplers: functions `(key, shape) -> Mix`.
      probs: one probability each, summing to 1; may be traced.
      per: "batch" chooses one for all rows; "example" for each row; "pair" for each pair, where
        all samplers share one mutual pairing.

    Returns:
      A sampler. Its masks have the positions of the most detailed mask, and are bool only if all
      are; its pairing is static only if all are the same.

    Raises:
      ValueError: for static `probs` that do not sum to 1 or leave [0, 1], another number of them
        than samplers, or an unknown `per`.

    Example:
      >>> policy = jm.one_of([partial(jm.sample_mixup, alpha=0.2), jm.sample_cutmix], (0.25, 0.75))
      >>> policy(jax.random.key(0), (8, 32, 32)).mask.shape
      (1, 32, 32)
    """
    _checks.option("one_of", "per", per, PER)
    _checks.probabilities("one_of", len(samplers), probs)

    def sampler(key: PRNGKeyArray, shape: tuple[int, ...]) -> Mix:
        key_pick, *keys = jax.random.split(key, len(samplers) + 1)
        mixes = [draw(k, shape) for draw, k in zip(samplers, keys, strict=True)]
        batch = mixes[0].lam.shape[0]
        partners = [mix.partner for mix in mixes]
        shared = all(isinstance(p, StaticPairing) and p == partners[0] for p in partners)
        edges = jnp.cumsum(jnp.stack([jnp.asarray(p, jnp.float32) for p in probs]))[:-1]
        u = jax.random.uniform(key_pick, (draws(per, batch), 1), jnp.float32)
        pick = (u >= edges[None, :]).sum(axis=-1)
        pick = tie(per, partners[0] if shared else jnp.arange(batch), batch, pick)
        hard = all(mix.mask.dtype == jnp.bool_ for mix in mixes)
        masks = [mix.mask if hard else mix.mask.astype(jnp.float32) for mix in mixes]
        return Mix(
            partners[0] if shared else _choose(pick, [partner_index(p, batch) for p in partners]),
            _choose(pick, masks),
            _choose(pick, [mix.lam for mix in mixes]),
        )

    return sampler


def sometimes(sampler: Sampler, prob: ArrayLike, *, per: str = "batch") -> Sampler:
    """Make the sampler that mixes with probability `prob`, and else leaves the rows as they are.

        m = λ = 1 with probability 1 - prob

    Args:
      sampler: a function `(key, shape) -> Mix`.
      prob: may be traced: a schedule that turns mixing off costs one compile.
      per: "batch" decides for all rows at once, "example" for each row, "pair" for each pair.

    Returns:
      A sampler.

    Raises:
      ValueError: for a static `prob` outside [0, 1], or an unknown `per`.

    Example:
      >>> off = jm.sometimes(jm.sample_cutmix, 0.0)(jax.random.key(0), (4, 8, 8))
      >>> off.lam.tolist()
      [1.0, 1.0, 1.0, 1.0]
    """
    _checks.option("sometimes", "per", per, PER)
    _checks.share("sometimes", "prob", prob)

    def sampled(key: PRNGKeyArray, shape: tuple[int, ...]) -> Mix:
        key_on, key_mix = jax.random.split(key)
        mix = sampler(key_mix, shape)
        batch = mix.lam.shape[0]
        on = below(jax.random.uniform(key_on, (draws(per, batch),), jnp.float32), prob)
        return mix_where(tie(per, mix.partner, batch, on), mix)

    return sampled


def own_label(sampler: Sampler) -> Sampler:
    """Make the sampler whose inputs are mixed and whose labels stay the row's own.

        λ = 1, m as drawn

    SamplePairing is `own_label(partial(sample_mixup, lam_law=constant(0.5)))`. With the law
    Beta(α+1, α) it is the one-label form of a method: the same expected loss for a loss linear in
    the label, integer labels, more variance.

    Args:
      sampler: a function `(key, shape) -> Mix`.

    Returns:
      A sampler.

    Example:
      >>> one_label = jm.own_label(partial(jm.sample_mixup, lam_law=jm.beta(1.2, 0.2)))
      >>> one_label(jax.random.key(0), (4,)).lam.tolist()
      [1.0, 1.0, 1.0, 1.0]

    SamplePairing: Inoue 2018, arXiv:1801.02929, who turn it off and on during training
    (`sometimes`, with a traced probability).
    """

    def sampled(key: PRNGKeyArray, shape: tuple[int, ...]) -> Mix:
        mix = sampler(key, shape)
        return dataclasses.replace(mix, lam=jnp.ones_like(mix.lam))

    return sampled


def _choose(pick: Int[Array, "n"], values: list[Shaped[Array, "..."]]) -> Shaped[Array, "..."]:
    """values[pick] for each row, the values padded to one rank and broadcast against each other."""
    rank = max(value.ndim for value in values)
    padded = [value.reshape(value.shape + (1,) * (rank - value.ndim)) for value in values]
    pick = pick.reshape((-1,) + (1,) * (rank - 1))
    chosen = padded[-1]
    for k, value in enumerate(padded[:-1]):
        chosen = jnp.where(pick == k, value, chosen)
    return chosen
