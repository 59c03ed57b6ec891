"""Does mixup keep a network from memorising wrong labels?

A small MLP learns scikit-learn's 1,797 real digits, half for training and half for testing, while a
share of the training labels is replaced by random ones: plain training, weight decay, label
smoothing, mixup and CutMix. All seeds train at once (vmap), and each meets the same split, wrong
labels, initial weights and batch order under every method, so that differences are paired.

Pass rule, fixed before the run: at 40 % noise, mixup α = 8 beats plain training on the last epoch's
error by at least 4 points, and the paired 95 % interval lies above 0.
"""

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import tyro
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console

import jax_mixup as jm
from experiments import report, sweep, train
from experiments.data import digits
from experiments.models.mlp import MLP


class Method(NamedTuple):
    """A method as numbers: all are traced, so one compiled program trains every method."""

    alpha: float = 0.0  # λ ~ Beta(α, α); 0 is off, which is plain training
    constant: float = -1.0  # λ itself, where it is not negative
    cutmix: float = 0.0  # probability of CutMix in place of mixup
    smoothing: float = 0.0
    weight_decay: float = 0.0


METHODS = {
    "plain": Method(),
    # Chosen for plain training at 40 % noise among 0.03, 0.1, 0.3, 1 and 3, on ten other seeds.
    "weight decay 1": Method(weight_decay=1.0),
    "label smoothing 0.1": Method(smoothing=0.1),
    "mixup α=1": Method(alpha=1.0),
    "mixup α=8": Method(alpha=8.0),
    "mixup α=32": Method(alpha=32.0),
    "mixup constant ½": Method(constant=0.5),
    "CutMix α=1": Method(alpha=1.0, cutmix=1.0),
}
MORE_METHODS = {  # with --full
    "weight decay 0.3": Method(weight_decay=0.3),
    "label smoothing 0.6": Method(smoothing=0.6),
    "mixup α=0.2": Method(alpha=0.2),
    "mixup α=2": Method(alpha=2.0),
    "CutMix α=8": Method(alpha=8.0, cutmix=1.0),
    "mixup or CutMix α=8": Method(alpha=8.0, cutmix=0.5),
    "mixup α=8, weight decay 1": Method(alpha=8.0, weight_decay=1.0),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on digits with wrong labels, and compare methods."""

    out: Path = Path("results/label_noise")
    """Where runs.jsonl, table.md and plot.png go. A run that was stopped goes on from there."""
    full: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Sweep the rates 0, 20, 40, 60, 80 % and more laws of λ, instead of 0 and 40 %."""
    smoke: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Two epochs and two seeds, into OUT/smoke: shows that everything works, and nothing else."""
    seeds: int = 10
    """How many paired seeds, two or more."""
    epochs: int = 80
    """How long each network trains."""
    hidden: int = 128
    """Width of both hidden layers."""
    training: train.Config = dataclasses.field(default_factory=train.Config)


def sample(method: Method, key: PRNGKeyArray, shape: tuple[int, ...]) -> jm.Mix:
    """Mixup, CutMix or nothing, chosen by traced numbers."""

    def law(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
        drawn = jm.symmetric_beta(key, method.alpha, shape)
        return jnp.where(method.constant >= 0, method.constant, drawn)

    return jm.sample_mixup_or_cutmix(key, shape, lam_law=law, switch_prob=method.cutmix)


def make_work(config: Config) -> Callable[..., list[dict]]:
    """The function that trains all seeds of one method at one rate."""
    x, y = digits.digits()
    make_model = lambda rngs: MLP(64, config.hidden, digits.NUM_CLASSES, rngs=rngs)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def start(key: PRNGKeyArray, noise: Array) -> tuple[train.State, digits.Split]:
        key_data, key_model = jax.random.split(key)
        return train.init(make_model, key_model), digits.split(key_data, x, y, noise)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None, 0, 0))
    def epochs(data: digits.Split, method: Method, state: train.State, keys: PRNGKeyArray) -> Any:
        sampler, given, test = partial(sample, method), (data.x, data.y), (data.x_test, data.y_test)
        options = {"smoothing": method.smoothing, "weight_decay": method.weight_decay}
        options["num_classes"] = digits.NUM_CLASSES
        return train.train_epochs(
            config.training, make_model, sampler, state, keys, given, test, **options
        )

    @jax.jit
    @jax.vmap
    def finish(state: train.State, data: digits.Split) -> dict[str, Array]:
        missed = train.apply(make_model, state.params, data.x).argmax(-1) != data.y
        share = lambda rows: (missed & rows).sum() / rows.sum()  # NaN where no label is wrong
        return {"train_right": share(~data.wrong), "train_wrong": share(data.wrong)}

    def work(method: Method, noise: float, tick: Callable[[int], None]) -> list[dict]:
        keys = jax.vmap(jax.random.key)(jnp.arange(config.seeds))
        epoch_keys = jax.vmap(partial(jax.random.split, num=config.epochs))(keys)
        state, data = start(keys, jnp.float32(noise))
        method = jax.tree.map(jnp.float32, method)
        state, scores = train.fit(partial(epochs, data, method), state, epoch_keys, tick)
        return report.seed_results(scores, finish(state, data))

    return work


def settings_of(config: Config) -> dict:
    """What defines a run, beside its group, method and seed."""
    sizes = {"epochs": config.epochs, "hidden": config.hidden}
    return {"experiment": "label_noise", **sizes, **dataclasses.asdict(config.training)}


def main(config: Config) -> int:
    """Train what is missing, then print and write the comparison."""
    if config.smoke:
        config = dataclasses.replace(config, out=config.out / "smoke", epochs=2, seeds=2)
    console = Console()
    methods = METHODS | (MORE_METHODS if config.full else {})
    rates = {f"{n} % noise": n / 100 for n in ((0, 20, 40, 60, 80) if config.full else (0, 40))}
    jobs = [(group, method) for group in rates for method in methods]
    work = make_work(config)
    runs = sweep.run(
        console,
        config.out / "runs.jsonl",
        settings_of(config),
        jobs,
        config.seeds,
        config.epochs,
        lambda job, tick: work(methods[job[1]], rates[job[0]], tick),
    )
    title = f"Digits with wrong labels, {config.seeds} paired seeds, {config.epochs} epochs"
    report.write(config.out, console, title, runs, list(methods), main_group="40 % noise")
    if config.smoke:
        return 0
    gain, half = report.paired_gain(runs, "40 % noise", "plain", "mixup α=8")
    passed = gain >= 4 and gain - half > 0
    console.print(
        "Pass rule (40 % noise: mixup α=8 at least 4 points below plain, interval above 0): "
        f"{gain:.1f} ± {half:.1f} points, {'PASS' if passed else 'FAIL'}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Config, prog="python -m experiments.label_noise")))
    except KeyboardInterrupt:
        print("Stopped. Finished runs are on disk; the same command goes on from there.")
        sys.exit(130)
