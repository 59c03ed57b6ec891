"""Levels of gymnax's environments for PPO, and all seeds of a method at once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure

from experiments.core.loop import Stop
from experiments.harness import plots
from experiments.harness.intervals import mean_interval
from experiments.harness.runs import Run, groups_of
from experiments.rl import ppo

SCALE = np.array([2.4, 2.0, 0.2, 2.0], np.float32)  # divided by it, the state's numbers are about 1
Levels = Float[Array, "l d f"]  # W and, in the last row, b, of each level


def draw_levels(key: PRNGKeyArray, *, count: int, features: int) -> Levels:
    """Levels at random, for `cartpole`."""
    return jax.random.normal(key, (count, len(SCALE) + 1, features))


def cartpole(*, features: int, horizon: int) -> ppo.Env:
    """gymnax's CartPole, in levels that look different and are the same underneath.

    The agent sees the state s, scaled, and features tanh(W s + b), which each level makes in a way
    of its own. On few levels they are as informative as the state, on others they mislead.
    """
    try:
        import gymnax  # expensive to import, and an extra
    except ImportError:
        raise Stop('CartPole is gymnax\'s: pip install -e ".[rl]"') from None
    env, params = gymnax.make("CartPole-v1")
    params = params.replace(max_steps_in_episode=horizon)

    def pick(key: PRNGKeyArray, levels: Levels) -> Array:
        return levels[(jax.random.uniform(key) * len(levels)).astype(jnp.int32)]

    def seen(state: Array, level: Array) -> Array:
        scaled = state / SCALE
        return jnp.concatenate([scaled, jnp.tanh(scaled @ level[:-1] + level[-1])])

    def reset(key: PRNGKeyArray, levels: Levels) -> Any:
        key_level, key_env = jax.random.split(key)
        level = pick(key_level, levels)
        start, state = env.reset(key_env, params)
        return (state, level), seen(start, level)

    def step(key: PRNGKeyArray, state: Any, action: Array, levels: Levels) -> ppo.Step:
        key_level, key_env = jax.random.split(key)
        state, level = state
        obs, state, reward, terminated, truncated, info = env.step(key_env, state, action, params)
        last = seen(info["final_observation"], level)
        level = jnp.where(terminated | truncated, pick(key_level, levels), level)
        return ppo.Step((state, level), seen(obs, level), last, reward, terminated, truncated)

    return ppo.Env(reset, step, len(SCALE) + features, env.num_actions, horizon)


def seeds(recipe_of: Callable[[Any], ppo.Recipe]) -> Callable[..., dict[str, np.ndarray]]:
    """Train all seeds by vmap, and all methods that differ only in numbers by one program.

    Args:
      recipe_of: (numbers) -> recipe, under jit; numbers are a tree of floats, which get traced.

    Returns:
      `fit(numbers, keys, levels, unseen, checks=, every=, episodes=, tick=)`: after each `every`
      updates, `checks` times, the mean returns of `episodes` episodes on the levels of training,
      "seen", and on as many unseen ones: arrays [seeds, checks]. Levels have a first axis of seeds.

    Raises:
      Stop: By `fit`, if an alpha is not a number from 0 on, or if rewards or losses are not
        finite.
    """

    @jax.jit
    @partial(jax.vmap, in_axes=(None, 0, 0))
    def start(numbers: Any, key: PRNGKeyArray, levels: Any) -> ppo.State:
        return ppo.init(recipe_of(numbers), key, levels)

    @partial(jax.jit, static_argnames=("every", "episodes"), donate_argnums=1)
    def chunk(
        numbers: Any, state: Any, keys: Any, levels: Any, unseen: Any, every: int, episodes: int
    ) -> Any:
        one = partial(_some_updates, recipe_of(numbers), every, episodes)
        return jax.vmap(one)(state, keys, levels, unseen)

    def fit(
        numbers: Any,
        keys: PRNGKeyArray,
        levels: Any,
        unseen: Any,
        *,
        checks: int,
        every: int,
        episodes: int,
        tick: Callable[[int], None],
    ) -> dict[str, np.ndarray]:
        _check_alpha(recipe_of(numbers).alpha)
        numbers = jax.tree.map(jnp.float32, numbers)
        key_start, key_run = jax.vmap(jax.random.split)(keys).T
        state, kept = start(numbers, key_start, levels), []
        for check in range(checks):
            state, scores, returns = chunk(
                numbers, state, key_run, levels, unseen, every=every, episodes=episodes
            )
            _check_finite(scores, check * every)
            kept.append(jax.tree.map(np.asarray, returns))
            tick(every)
        return jax.tree.map(lambda *parts: np.stack(parts, axis=1), *kept)

    return fit


def _some_updates(
    recipe: ppo.Recipe,
    every: int,
    episodes: int,
    state: ppo.State,
    key: PRNGKeyArray,
    levels: Any,
    unseen: Any,
) -> Any:
    """One seed's next updates, their scores, and the returns after them on both sets of levels."""
    key_update, key_look = jax.random.split(key)
    turn = lambda state, _: ppo.update(recipe, state, key_update, levels)
    state, scores = jax.lax.scan(turn, state, length=every)
    both = jax.tree.map(lambda *parts: jnp.stack(parts), levels, unseen)
    look = lambda part: ppo.evaluate(recipe, state.params, key_look, part, episodes)
    known, other = jax.vmap(look)(both)
    return state, scores, {"seen": known, "unseen": other}


def picture(path: Path, title: str, runs: list[Run], methods: list[str], *, steps: int) -> None:
    """Returns over training on both kinds of levels, a row for each environment.

    Args:
      path, title, runs, methods: as `tables.write` gives them.
      steps: total steps of the environment.
    """
    groups = groups_of(runs)
    figure = Figure(figsize=(10, 0.6 + 3.2 * len(groups)), layout="constrained")
    panes = figure.subplots(len(groups), 2, squeeze=False, sharex=True, sharey="row")
    for row, group in zip(panes, groups, strict=True):
        for axes, kind in zip(row, ("seen", "unseen"), strict=True):
            for method, colour in zip(methods, (plots.FIRST, *plots.COLOURS), strict=False):
                mine = [r for r in runs if (r["group"], r["method"]) == (group, method)]
                curves = np.array([run[f"{kind}_curve"] for run in mine])
                mean, half = np.array([mean_interval(column) for column in curves.T]).T
                x = steps / 1000 * np.arange(1, len(mean) + 1) / len(mean)
                axes.plot(x, mean, lw=1.8, color=colour, label=method)
                axes.fill_between(x, mean - half, mean + half, fc=colour, alpha=0.12, lw=0)
            axes.set_title(
                f"{group}, {'levels of training' if kind == 'seen' else 'unseen levels'}"
            )
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel("mean return")
    for axes in panes[-1]:
        axes.set_xlabel("thousand steps of the environment")
    figure.legend(*panes[0, 0].get_legend_handles_labels(), loc="outside right", frameon=False)
    figure.suptitle(f"{title} (mean, 95 % interval)", size=11)
    figure.savefig(path, dpi=130)


def _check_alpha(alpha: Any) -> None:
    if not 0 <= float(alpha) < np.inf:
        raise Stop(f"mixreg got alpha={alpha}; it needs a number from 0 (plain PPO) on: take 0.2.")


def _check_finite(scores: dict[str, Array], done: int) -> None:
    """Stop at the first value that is not finite; rewards come first: theirs make NaN losses."""
    for name in ("reward", "loss"):
        seed, update = np.nonzero(~np.isfinite(scores[name]))
        if seed.size:
            first = update.argmin()
            raise Stop(
                f"At update {done + update[first] + 1} of seed {seed[first]} the mean {name} is "
                f"{scores[name][seed[first], update[first]]}: "
                + ("mend the environment." if name == "reward" else "train with a lower rate.")
            )
