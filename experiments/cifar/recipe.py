"""Networks on pictures by the recipe of the mixup paper's code for CIFAR, run by run.

Batches of 128, SGD with momentum 0.9, rate 0.1, divided by 10 after 1/2 and 3/4 of 200 epochs,
weight decay on all parameters; random crops (padded by 4) and flips, then mixing with one λ for a
batch, then each channel to mean 0 and deviation 1.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from rich.console import Console

from experiments import models
from experiments.core import classify, loop
from experiments.core.methods import Method
from experiments.core.step import Recipe
from experiments.core.trainer import Trainer
from experiments.data import augment, images
from experiments.data.digits import digits
from experiments.data.split import Split, corrupt
from experiments.harness import cli
from experiments.harness.choose import FIRST_SEED
from experiments.harness.jobs import Task
from experiments.harness.runs import Run, seed_results

DISPATCHES = 5  # of an epoch, or the next number that divides its steps


@dataclasses.dataclass(frozen=True)
class Options:
    """What to train, on what, and how long."""

    data: str | None = None
    """A file, a folder, or a data set in --folder. Without it, digits are used."""
    folder: Path = Path("data")
    """TFDS's folder."""
    subset: cli.Count | None = None
    """Number of training images, drawn for each seed; all by default."""
    test: cli.Count | None = None
    """Number of test images, the first ones; all by default."""
    epochs: cli.Count = 200
    """How long each network trains."""
    batch: cli.Count = 128
    """Examples in a step."""
    accumulate: cli.Count = 1
    """Parts of a batch, one after the other, if the batch does not fit the memory."""
    rate: float = 0.1
    """SGD's learning rate at the start."""
    schedule: Literal["steps", "cosine"] = "steps"
    """Whether the rate falls after 1/2 and 3/4 of the epochs, or along a cosine to 0."""
    augment: Annotated[bool, tyro.conf.FlagConversionOff] = True
    """Whether pictures are cropped and flipped at random."""
    warmup: int = 0
    """Epochs in which the probability of mixing rises from 0 to 1."""
    mix_off: int = 0
    """Number of last epochs without mixing."""
    ema: float | None = None
    """Decay of the averaged weights, which are then tested."""
    bf16: cli.Flag = False
    """Compute in bfloat16; parameters stay float32."""
    score_every: cli.Count = 1
    """Epochs from one score on the test images to the next; a divisor of the epochs."""
    save_every: cli.Count = 5
    """Dispatches from one checkpoint to the next; an epoch is five or some more."""


def read(options: Options) -> images.Images:
    """The data set, or scikit-learn's digits at 16 x 16 in three channels."""
    if options.data is None:
        x, y = digits()
        x, order = np.round(255 * x).astype(np.uint8), np.random.default_rng(0).permutation(len(y))
        x, y = x.repeat(2, 1).repeat(2, 2).repeat(3, 3)[order], y[order]
        names = tuple("0123456789")
        return images.Images(x[:898], y[:898], x[898:], y[898:], names, "Digits at 16 x 16")
    try:
        return images.load(options.data, folder=options.folder, test=options.test)
    except (FileNotFoundError, ValueError) as error:
        raise loop.Stop(str(error)) from error


def title(options: Options, data: images.Images) -> str:
    """What to call the data in a table."""
    said = [data.title]
    if options.subset is not None:
        said += [f"{options.subset:,} of its {len(data.y):,} training images"]
    if options.test is not None:
        said += [f"its first {options.test:,} test images"]
    return ", ".join(said)


def chosen(
    options: Options, data: images.Images, *, noise: float, seed: int, reserved: int = 0
) -> Split:
    """The images that a seed trains on, some of their labels replaced by random ones.

    Seeds for choosing train and test on the last `reserved` training images, half and half, which
    results do not train on.
    """
    free, rng = len(data.y) - reserved, np.random.default_rng(seed)
    if seed < FIRST_SEED:
        rows, tests = rng.permutation(free)[: options.subset], data[2:4]
    else:
        rows, others = np.split(free + rng.permutation(reserved), 2)
        rows, tests = rows[: options.subset], (data.x[others], data.y[others])
    x, true, x_test, y_test = map(jnp.asarray, (data.x[rows], data.y[rows], *tests))
    y = corrupt(jax.random.split(jax.random.key(seed))[0], true, noise, len(data.class_names))
    return Split(x, y, y != true, x_test, y_test)


def recipe_of(
    options: Options, data: images.Images, model: str, dropout: float, method: Method
) -> Recipe:
    """The recipe for one of experiments/models; not all of these have dropout."""
    epoch = (options.subset or len(data.y)) // options.batch
    steps = options.epochs * epoch
    falls = {steps // 2: 0.1, 3 * steps // 4: 0.1}
    if options.schedule == "cosine":
        rates = optax.cosine_decay_schedule(options.rate, steps)
    else:
        rates = optax.piecewise_constant_schedule(options.rate, falls)
    decay = optax.add_decayed_weights(method.weight_decay)
    rise = lambda step: jnp.minimum((step + 1) / max(1, options.warmup * epoch), 1)
    size: dict[str, Any] = {"num_classes": len(data.class_names)}
    size |= {"dtype": jnp.bfloat16 if options.bf16 else jnp.float32}
    size |= {"dropout": dropout} if dropout else {}
    return classify.recipe(
        make_model=models.make(model, **size),
        optimizer=optax.chain(decay, optax.sgd(rates, momentum=0.9)),
        draw=method.draw,
        prepare=(lambda key, x, y: (augment.crop_flip(key, x), y)) if options.augment else None,
        normalise=augment.standardise(data.x),
        smoothing=method.smoothing,
        mix_prob=lambda step: jnp.where(step < steps - options.mix_off * epoch, rise(step), 0.0),
        accumulate=options.accumulate,
        ema=options.ema,
    )


def make_work(
    options: Options, data: images.Images, out: Path, settings: dict[str, Any], *, reserved: int = 0
) -> Callable[..., list[Run]]:
    """A function that trains a task's seeds by a method, one after the other.

    Args:
      options: what to train, and how long.
      data: what to train and test on.
      out: where a run's checkpoints are, in checkpoints/GROUP/METHOD/SEED.
      settings: what defines the runs, besides what `work` gets.
      reserved: as in `chosen`.
    """
    console = Console()

    @functools.cache
    def trainer(model: str, dropout: float) -> Trainer:
        return Trainer(
            partial(recipe_of, options, data, model, dropout),
            batch=options.batch,
            epochs=options.epochs,
            dispatches=DISPATCHES,
            save_every=options.save_every,
            score_every=options.score_every,
            console=None if console.is_terminal else console,  # which has a bar for all runs
        )

    def work(task: Task, model: str, method: Method, *, noise: float) -> list[Run]:
        full = settings | {"group": task.group, "method": task.method, "noise": noise}
        folder = out / "checkpoints" / _plain(task.group) / _plain(task.method)
        trained = trainer(model, method.dropout)
        curves, finals, hits = [], [], []
        for seed in task.seeds:
            mine = chosen(options, data, noise=noise, seed=seed, reserved=reserved)
            place = {"seed": seed, "folder": folder / str(seed), "settings": full}
            state, scores = trained.fit(method, mine, **place, tick=task.tick)
            curves.append(scores)
            right = lambda x, y, state=state: trained.logits(method, state, x).argmax(-1) == y
            missed = ~right(mine.x, mine.y)
            finals.append(
                [(missed & rows).sum() / rows.sum() for rows in (~mine.wrong, mine.wrong)]
            )
            hits.append(right(mine.x_test, mine.y_test))
        scores = {name: np.stack([curve[name] for curve in curves]) for name in curves[0]}
        on_right, on_wrong = np.transpose(finals)
        final = {"train_right": on_right, "train_wrong": on_wrong}
        return seed_results(scores, final, seeds=task.seeds, hits=np.array(hits))

    return work


def _plain(name: str) -> str:
    """A name for a folder."""
    return re.sub(r"[^\w.-]+", "-", name)
