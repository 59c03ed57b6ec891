"""Policies: they take samplers and return a sampler `(key, shape) -> Mix`, so that they nest.

`functools.partial` sets the options of one sampler, or those of all samplers in a policy at once:
`partial(policy, pairing=roll())` gives `pairing` to each of them, and `per` to the policy too. With
samplers that give tuples of mixes, such as `sample_ricap`, a policy gives tuples.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._blending import each_layer, layers_of, mix_where
from jax_mixup._draws import below
from jax_mixup._entry import public
from jax_mixup.mix import Mix, Mixes
from jax_mixup.pairings._rows import (
    PER,
    Pairing,
    StaticPairing,
    bind_to_batch,
    draws,
    tie,
    tie_groups,
)
from jax_mixup.pairings.static import partner_index

Sampler = Callable[..., Any]  # from (key, shape) and options by name to a Mix, or a tuple of them


def one_of(
    samplers: Sequence[Sampler],
    probs: Sequence[ArrayLike] | Array | np.ndarray,
    *,
    per: str = "batch",
) -> Sampler:
    """Make a sampler that draws one of several samplers for each mix.

        mix = samplers[k](key, shape),  P(k) = probs[k]

    Mixes of all samplers are drawn and one is chosen, without a branch, so that blending stays one
    fusion. For a choice of mixup or CutMix, `sample_mixup_or_cutmix` does the same with one draw.

    Args:
      samplers: functions `(key, shape) -> Mix`, or functions that give tuples of mixes.
      probs: one probability for each sampler, with a sum of 1. They may be traced; nothing is mixed
        if one is NaN.
      per: "batch" chooses one sampler for all examples, "example" chooses for each example, "pair"
        for each pair, which needs samplers that have the same mutual pairing, and "group" for each
        group, which needs pairings of the same groups.

    Returns:
      A sampler, which passes options by name to all of these. Its masks have the positions of the
      most detailed mask, and are bool only if all masks are; its pairing is static only if all
      pairings are the same. If one of the samplers gives tuples, so does this one, with as many
      layers as the longest of them; layers that the chosen sampler lacks mix nothing.

    Raises:
      ValueError: If static `probs` are outside [0, 1] or do not sum to 1, their number is not that
        of the samplers, `per` is unknown, or it is "pair" without one mutual pairing, or "group"
        without the same groups.

    Example:
      >>> policy = jm.one_of([partial(jm.sample_mixup, alpha=0.2), jm.sample_cutmix], (0.25, 0.75))
      >>> policy(jax.random.key(0), (8, 32, 32)).mask.shape
      (1, 32, 32)
    """
    _checks.option("one_of", "per", per, PER)
    for each in samplers:
        _check_sampler("one_of", each)
    _checks.probabilities("one_of", len(samplers), probs)

    def sampler(key: PRNGKeyArray, shape: tuple[int, ...], **options: Any) -> Mixes:
        grain = options.get("per", per)
        key_pick, *keys = jax.random.split(key, len(samplers) + 1)
        drawn = [draw(k, shape, **options) for draw, k in zip(samplers, keys, strict=True)]
        mixes = [layers_of(mix) for mix in drawn]
        batch = mixes[0][0].lam.shape[0]
        edges = jnp.cumsum(jnp.stack([jnp.asarray(p).astype(jnp.float32) for p in probs]))
        u = jax.random.uniform(key_pick, (draws(grain, batch), 1), jnp.float32)
        pick = (u >= edges[None, :-1]).sum(axis=-1, dtype=jnp.int32)
        if any(_checks.static_number(p) is None for p in probs):  # traced: one may be NaN
            pick = jnp.where(jnp.isnan(edges[-1]), len(samplers), pick)
            mixes.append(())  # no sampler: nothing is mixed
        pick = _tied("one_of", grain, mixes, batch, pick)
        depth = max(map(len, mixes))
        layers = [_chosen(pick, [mix[j : j + 1] for mix in mixes], batch) for j in range(depth)]
        return tuple(layers) if any(isinstance(mix, tuple) for mix in drawn) else layers[0]

    return sampler


def sometimes(sampler: Sampler, prob: ArrayLike, *, per: str = "batch") -> Sampler:
    """Make a sampler that mixes with probability `prob`, and else leaves examples as they are.

        m = λ = 1 with probability 1 - prob

    Args:
      sampler: a function `(key, shape) -> Mix`, or one that gives a tuple of mixes.
      prob: the probability of mixing. It may be traced, so that a schedule that turns mixing off
        is compiled once; NaN means 0. With per="example" it may be an array with one for each
        example.
      per: "batch" decides for all examples at once, "example" for each example, "pair" for each
        pair of a mutual pairing, and "group" for each group of a pairing that has groups.

    Returns:
      A sampler of the same kind, which passes options by name to `sampler`.

    Raises:
      ValueError: If a static `prob` is outside [0, 1], `per` is unknown, or it is "pair" without a
        mutual pairing or "group" without groups.

    Example:
      >>> off = jm.sometimes(jm.sample_cutmix, 0.0)(jax.random.key(0), (4, 8, 8))
      >>> off.lam.tolist()
      [1.0, 1.0, 1.0, 1.0]
    """
    _checks.option("sometimes", "per", per, PER)
    _check_sampler("sometimes", sampler)
    _checks.share("sometimes", "prob", prob)

    def sampled(key: PRNGKeyArray, shape: tuple[int, ...], **options: Any) -> Mixes:
        grain = options.get("per", per)
        key_on, key_mix = jax.random.split(key)
        mix = sampler(key_mix, shape, **options)
        layers = layers_of(mix)
        batch = layers[0].lam.shape[0]
        n = draws(grain, batch)
        _checks.each_draw("sometimes", "prob", prob, n, batch)
        on = below(jax.random.uniform(key_on, (n,), jnp.float32), prob)
        on = _tied("sometimes", grain, [layers], batch, on)
        return each_layer(lambda layer: mix_where(on, layer), mix)

    return sampled


def own_label(sampler: Sampler) -> Sampler:
    """Make a sampler that mixes inputs, while labels stay the example's own.

        λ = 1, m as drawn

    SamplePairing is `own_label(partial(sample_mixup, lam_law=constant(0.5)))`. With
    Beta(α+1, α) as the distribution of λ it is the one-label form of a method: if the loss is
    linear in the label, its expected value is the same, labels stay integers, and there is more
    variance.

    Args:
      sampler: a function `(key, shape) -> Mix`, or one that gives a tuple of mixes.

    Returns:
      A sampler of the same kind, which passes options by name to `sampler`.

    Example:
      >>> one_label = jm.own_label(partial(jm.sample_mixup, lam_law=jm.beta(1.2, 0.2)))
      >>> one_label(jax.random.key(0), (4,)).lam.tolist()
      [1.0, 1.0, 1.0, 1.0]

    SamplePairing: Inoue 2018, arXiv:1801.02929, who turns it off and on during training, as
    `sometimes` with a traced probability does.
    """

    def sampled(key: PRNGKeyArray, shape: tuple[int, ...], **options: Any) -> Mixes:
        own = lambda layer: dataclasses.replace(layer, lam=jnp.ones_like(layer.lam))
        return each_layer(own, sampler(key, shape, **options))

    return sampled


@public
def hesitation(step: ArrayLike, *, steps: int, turn: int) -> Float[Array, ""]:
    """Schedule mixing: always at first, then in every second turn, then more and more rarely.

        P(mix) = 1 for s < 0.6,  [turn is even] for s < 0.9,  then (1 - s) / 0.1

    where s = (first step of this turn) / `steps`. Use it in
    `sometimes(sampler, hesitation(step, ...))`. The step may be traced, so that one compiled
    program works for all steps.

    Args:
      step: the number of the step, from 0.
      steps: how many steps there will be.
      turn: how many steps a turn has: those of an epoch, or 1.

    Returns:
      f32[], the probability of mixing; it is 0 for a step of `steps` or later.

    Raises:
      ValueError: If `steps` or `turn` is below 1.

    Example:
      >>> schedule = partial(jm.hesitation, steps=100, turn=1)
      >>> [round(float(schedule(step)), 2) for step in (0, 59, 60, 61, 90, 95, 100)]
      [1.0, 1.0, 1.0, 0.0, 1.0, 0.5, 0.0]

    Mixup without hesitation, Yu et al. 2021, arXiv:2101.04342; in their code a turn is an epoch.
    """
    if steps < 1 or turn < 1:
        raise ValueError(f"hesitation got steps={steps} and turn={turn}; it needs ints >= 1.")
    step = jnp.asarray(step)
    step = step.astype(jnp.int32) if jnp.issubdtype(step.dtype, jnp.integer) else step
    number = step // turn
    first = (number * turn).astype(jnp.float32)
    by_turns = (number % 2 == 0).astype(jnp.float32)
    rarely = jnp.maximum(steps - first, 0.0) / (0.1 * steps)
    late = jnp.where(first < 0.9 * steps, by_turns, rarely)
    return jnp.where(first < 0.6 * steps, 1.0, late)


def until(step: ArrayLike, stop: ArrayLike) -> Float[Array, ""]:
    """Schedule mixing: always before a step, and never from it on.

        P(mix) = 1 for step < stop, else 0

    Use it in `sometimes(sampler, until(step, stop))`. Both numbers may be traced, so that one
    compiled program works for all steps. Last epochs without mixing let a network fit the examples
    as they are.

    Args:
      step: the number of the step, from 0; an integer or a float of any dtype.
      stop: the first step without mixing, in the same units.

    Returns:
      f32[], 1 or 0.

    Raises:
      ValueError: If `step` or `stop` is not one number.

    Example:
      >>> [float(jm.until(step, stop=90)) for step in (0, 89, 90, 100)]
      [1.0, 1.0, 0.0, 0.0]

    timm's option `mixup_off_epoch` is this schedule.
    """
    step, stop = _steps("until", step=step, stop=stop)
    return (step < stop).astype(jnp.float32)


def ramp(step: ArrayLike, start: ArrayLike, stop: ArrayLike) -> Float[Array, ""]:
    """Schedule mixing: never at first, then more often or more strongly, on a straight line.

        r = 0 for step <= start,  (step - start) / (stop - start),  1 for step >= stop

    Use it as a probability, `sometimes(sampler, ramp(step, start, stop))`, or as a factor of alpha,
    `alpha=0.8 * ramp(step, start, stop)`. For a falling schedule write `1 - ramp(...)`.

    Args:
      step: the number of the step, from 0; an integer or a float of any dtype; may be traced.
      start: the last step at which the result is 0; may be traced.
      stop: the first step at which it is 1; may be traced. Where it is not after `start`, the
        result jumps from 0 to 1 after `start`.

    Returns:
      f32[], in [0, 1].

    Raises:
      ValueError: If an argument is not one number, or `stop` is known to be before `start`.

    Example:
      >>> [float(jm.ramp(step, start=10, stop=20)) for step in (0, 10, 15, 20, 99)]
      [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    first, last = (_checks.static_number(x) for x in (start, stop))
    if first is not None and last is not None and last < first:
        raise ValueError(
            f"ramp got start={first:g} and stop={last:g}; it needs a stop that is not before the "
            "start: for a falling schedule write 1 - ramp(step, start, stop)."
        )
    step, start, stop = _steps("ramp", step=step, start=start, stop=stop)
    done, whole = (step - start).astype(jnp.float32), (stop - start).astype(jnp.float32)
    return jnp.clip(done / jnp.maximum(whole, 1e-6), 0.0, 1.0)


def _steps(function: str, **numbers: ArrayLike) -> list[Array]:
    """Convert numbers of steps to one dtype: int32 if all are integers, else float32."""
    arrays = []
    for name, number in numbers.items():
        array = jnp.asarray(number)
        real = jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)
        if array.ndim or not real:
            raise ValueError(
                f"{function} got {_checks.described(array)} as {name}; it needs a number."
            )
        arrays.append(array)
    if all(jnp.issubdtype(array.dtype, jnp.integer) for array in arrays):
        return [_checks.int32(array) for array in arrays]
    return [array.astype(jnp.float32) for array in arrays]


def _check_sampler(function: str, sampler: object) -> None:
    if not callable(sampler):
        raise TypeError(
            f"{function} got {_checks.described(sampler)} as sampler; it needs a function "
            "(key, shape) -> Mix, such as sample_mixup: pass the sampler first."
        )


def _shared(partners: Sequence[Pairing], batch: int) -> Pairing | None:
    """Return the pairing that all of these partners have, if there is one."""
    if all(partner is partners[0] for partner in partners):  # one index array for all samplers
        return partners[0]
    bound = [bind_to_batch(partner, batch) for partner in partners]
    static = [pairing for pairing in bound if isinstance(pairing, StaticPairing)]
    same = len(static) == len(bound) and all(pairing == static[0] for pairing in static)
    return static[0] if same else None


def _tied(
    function: str, per: str, mixes: Sequence[tuple[Mix, ...]], batch: int, drawn: Shaped[Array, "n"]
) -> Shaped[Array, "n"]:
    """Give all examples of a pair, or of a group, the draw of its first one, as `per` says.

    For that all layers need one mutual pairing, or the same groups.
    """
    if per == "group":
        partners = tuple(layer.partner for layers in mixes for layer in layers)
        return tie_groups(function, per, partners, batch, drawn)
    if per != "pair":
        return drawn
    shared = _shared([layer.partner for layers in mixes for layer in layers], batch)
    if not isinstance(shared, StaticPairing):
        raise ValueError(
            f"{function} got per='pair' for mixes with different pairings, or with an index array; "
            "it needs samplers that share one mutual pairing, reverse() or neighbours(): or use "
            "per='example'."
        )
    return tie(per, shared, batch, drawn)


def _chosen(pick: Int[Array, "n"], drawn: list[tuple[Mix, ...]], batch: int) -> Mix:
    """Return the mix that was picked; a sampler without a mix at this layer mixes nothing.

    Where nothing is mixed any partner will do, so that a shared static pairing stays static.
    """
    found = [mix[0] for mix in drawn if mix]
    shared = _shared([mix.partner for mix in found], batch)
    hard = all(mix.mask.dtype == jnp.bool_ for mix in found)
    own = jnp.ones(1, bool)
    masks = [mix[0].mask if mix else own for mix in drawn]
    masks = masks if hard else [mask.astype(jnp.float32) for mask in masks]
    lams = [mix[0].lam if mix else jnp.ones(batch, jnp.float32) for mix in drawn]
    itself = jnp.arange(batch, dtype=jnp.int32)
    indices = [partner_index(mix[0].partner, batch) if mix else itself for mix in drawn]
    return Mix(
        shared if shared is not None else _choose(pick, indices),
        _choose(pick, masks),
        _choose(pick, lams),
    )


def _choose(pick: Int[Array, "n"], values: list[Shaped[Array, "..."]]) -> Shaped[Array, "..."]:
    """Choose values[pick] for each draw; the values are padded to one rank and broadcast."""
    rank = max(value.ndim for value in values)
    padded = [value.reshape(value.shape + (1,) * (rank - value.ndim)) for value in values]
    pick = pick.reshape((-1,) + (1,) * (rank - 1))
    chosen = padded[-1]
    for k, value in enumerate(padded[:-1]):
        chosen = jnp.where(pick == k, value, chosen)
    return chosen
