"""Does mixreg carry a policy to levels that it has not seen?

PPO trains on gymnax's CartPole, whose levels differ in what the agent sees: besides the state, it
sees 16 features that each level computes from it by random weights of its own. They help on the
levels of training, 8 or 32 of them, and mislead on others (after Song et al. 2020,
arXiv:1912.02975). The methods are plain PPO, weight decay, Gaussian noise on an update's
observations, mixreg (Wang et al. 2020, arXiv:2010.10814) and mixobs, its ablation, which mixes
observations alone; plain PPO on 1000 levels shows what could be reached. All seeds train at once
(vmap), each with the same levels, weights and keys under every method, so that differences are
paired. Weight decay and noise have the strength with the best return on unseen levels, with 8
levels of training, on seeds 1000 to 1004 (--choose --seeds 5). All methods have the rate 4e-3: at
8e-3 plain PPO gained 12 ± 24, at 2e-3 it lost 16 ± 19.

Pass rule, fixed before the run: with 8 levels mixreg α=0.2 has a higher return on unseen levels
than plain PPO, and the paired 95 % interval lies above 0. (On those other seeds it did not.)
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import numpy as np
import optax

from experiments.harness import cli
from experiments.harness.choose import FIRST_SEED
from experiments.harness.jobs import Task, Work
from experiments.harness.rules import Claim, Rule
from experiments.harness.runs import rounded
from experiments.harness.study import Study, run_study
from experiments.harness.tables import Column, Table
from experiments.rl import levels, ppo

GROUPS = {"8 levels": 8, "32 levels": 32}
FEATURES, MANY, CHECKS, EPISODES = 16, 1000, 10, 32  # CHECKS: how often returns are measured


class Method(NamedTuple):
    """Traced numbers, so that one compiled program trains every method."""

    alpha: float = 0.0
    supervise: float = 1.0
    noise: float = 0.0
    decay: float = 0.0
    rate: float = 4e-3
    levels: float = 0.0  # 0 takes the group's


METHODS = {
    "plain": Method(),
    "weight decay 0.1": Method(decay=0.1),
    "noise σ=0.01": Method(noise=0.01),
    "mixreg α=0.2": Method(alpha=0.2),
    "mixreg α=1": Method(alpha=1.0),
    "mixobs α=0.2": Method(alpha=0.2, supervise=0.0),
    "plain, 1000 levels": Method(levels=MANY),  # the same in both groups
}
CANDIDATES = (
    {f"plain, rate {r}": Method(rate=r) for r in (1e-3, 2e-3, 4e-3, 8e-3)}
    | {f"weight decay {w}": Method(decay=w) for w in (0.03, 0.1, 0.3)}
    | {f"noise σ={s}": Method(noise=s) for s in (0.01, 0.03)}
)
TABLE = Table(
    columns=(
        Column("unseen", "unseen"),
        Column("more", "lost", gain=True),
        Column("seen", "seen"),
        Column("gap", "gap"),
    ),
    caption="unseen, seen: mean return of 32 episodes, 200 at most, the policy sampled, on levels "
    "that training had not and on those that it had. more: unseen return above the first method's, "
    "paired by seed. gap: seen - unseen.",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train policies on few levels, and test them on others."""

    out: Path = Path("results/rl")
    """Folder for runs.jsonl, table.md and plot.png. A stopped run goes on from there."""
    choose: cli.Flag = False
    """Instead compare strengths on seeds 1000 and up, into OUT/choose."""
    smoke: cli.Flag = False
    """Ten updates, two seeds, into OUT/smoke: only shows that everything works."""
    seeds: cli.Seeds = 10
    """Number of paired seeds, at least two."""
    updates: Annotated[int, cli.Whole(CHECKS, CHECKS)] = 100
    """Number of updates of 1,024 steps each; a multiple of 10."""
    horizon: cli.Count = 200
    """Steps of the longest episode."""


RULE = Rule(
    "8 levels: return of mixreg α=0.2 on unseen levels above plain's: {0}. Pass rule (above 0): "
    "{verdict}.",
    (Claim("8 levels", "mixreg α=0.2", key="lost"),),
)


def make_work(config: Config, methods: dict[str, Method]) -> Work:
    """A function that trains and tests all seeds of one method in one group."""
    env = levels.cartpole(features=FEATURES, horizon=config.horizon)

    def recipe_of(method: Method) -> ppo.Recipe:
        adam = optax.adamw(method.rate, eps=1e-5, weight_decay=method.decay)
        optimizer = optax.chain(optax.clip_by_global_norm(0.5), adam)
        return ppo.Recipe(env, optimizer, method.alpha, method.supervise, method.noise)

    fit = levels.seeds(recipe_of)
    draw = jax.vmap(partial(levels.draw_levels, count=MANY, features=FEATURES))
    sizes = {"checks": CHECKS, "every": config.updates // CHECKS, "episodes": EPISODES}

    def work(task: Task) -> list[dict]:
        method = methods[task.method]
        split = jax.vmap(partial(jax.random.split, num=3))
        key_levels, key_unseen, key_run = split(task.keys).T
        count = int(method.levels or GROUPS[task.group])
        used = draw(key_levels)[:, np.arange(MANY) % count]
        returns = fit(method, key_run, used, draw(key_unseen), **sizes, tick=task.tick)
        kinds = [rounded(curves, 2) for curves in returns.values()]
        return [
            {"seed": seed, "seen": seen[-1], "unseen": unseen[-1], "lost": -unseen[-1]}
            | {"gap": round(seen[-1] - unseen[-1], 2), "seen_curve": seen, "unseen_curve": unseen}
            for seed, (seen, unseen) in zip(task.seeds, zip(*kinds, strict=True), strict=True)
        ]

    return work


def main(config: Config) -> int:
    """Train what is missing, then print, write and draw the comparison."""
    config = cli.ready(config, updates=10, seeds=2, horizon=20)
    methods = CANDIDATES if config.choose else METHODS
    picture = partial(levels.picture, steps=config.updates * 1024)
    study = Study(
        out=config.out / "choose" if config.choose else config.out,
        title=f"PPO on levels of CartPole, {config.seeds} paired seeds",
        name="rl",
        config=config,
        groups=list(GROUPS)[:1] if config.choose or config.smoke else GROUPS,
        methods=methods,
        seeds=config.seeds,
        first_seed=FIRST_SEED if config.choose else 0,
        ticks=config.updates,
        work=make_work(config, methods),
        table=TABLE,
        plot=None if config.choose else picture,
        rule=None if config.choose else RULE,
    )
    return run_study(study)


if __name__ == "__main__":
    cli.main("rl", Config, main, __doc__)
