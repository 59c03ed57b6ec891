"""ResNet-50 and ViT-S/16 on ImageNet, with mixing in the step, on any number of devices and hosts.

resnet50: SGD with Nesterov's momentum 0.9, peak rate 0.1 x batch / 256, weight decay 1e-4 on
kernels, mixup α = 0.2; 90 epochs, or the 200 and 300 of the mixup and CutMix papers by --epochs.
vit_s16: DeiT's AdamW, peak rate 5e-4 x batch / 512, weight decay 0.05 on kernels, label smoothing
0.1, mixup 0.8 or CutMix 1.0 evenly, drop path 0.1, 300 epochs. DeiT's RandAugment, random erasing,
repeated augmentation and averaged weights are left out: do not expect its 79.8 %.
Both: 5 epochs of linear warm-up, then a cosine; random crops and flips; bfloat16.

DATA is a TFDS folder with imagenet2012 in ArrayRecord files. On several hosts run the same command
on each, with --coordinator, --processes and --process, or on TPU pods with --distributed; all need
to see OUT. A run that was stopped goes on from OUT's newest checkpoint.
"""

import dataclasses
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import AxisType
from rich.console import Console

import jax_mixup as jm
from experiments.core import checkpoint, classify, devices, hosts, log, loop
from experiments.core.classify import by_shape
from experiments.core.step import Recipe
from experiments.data import augment
from experiments.data import imagenet as data
from experiments.harness import cli
from experiments.models.resnet import ResNet, resnet50
from experiments.models.vit import ViT, vit_s16

DEFINING = ("model", "batch", "per", "fsdp", "seed", "smoke")  # a run, besides its length and size


@dataclasses.dataclass(frozen=True)
class Config:
    """Train on ImageNet, on one host or many."""

    model: Literal["resnet50", "vit_s16"] = "resnet50"
    """What to train, by which recipe."""
    data: Path = Path("data")
    """TFDS's folder, with imagenet2012 in it."""
    out: Path = Path("results/imagenet")
    """Folder for metrics.jsonl and checkpoints; the same for all processes."""
    epochs: cli.Count | None = None
    """Default: 90 for resnet50, 300 for vit_s16."""
    batch: cli.Count = 1024
    """Examples in a step, on all devices together."""
    per: Literal["batch", "pair", "example"] = "batch"
    """What has its own λ: the batch, each pair, or each example."""
    fsdp: cli.Flag = False
    """Cut parameters and optimizer state over the devices, instead of a copy on each."""
    seed: int = 0
    """Seed of weights, order, crops and mixing."""
    workers: int = 0
    """Processes that read and decode, on each host; 0 for threads."""
    log_every: cli.Count = 50
    """Steps from one line of metrics to the next."""
    save_every: cli.Count = 1000
    """Steps from one checkpoint to the next."""
    coordinator: str | None = None
    """HOST:PORT of process 0, with --processes and --process."""
    processes: int | None = None
    """Number of processes."""
    process: int | None = None
    """Which process this is, from 0."""
    distributed: cli.Flag = False
    """Find the other processes by the pod's, or the cluster's, own environment."""
    patience: float = 20.0
    """Seconds without a sign of life after which a process counts as gone."""
    smoke: cli.Flag = False
    """A tiny model on a few generated pictures, into OUT/smoke: shows that everything works."""


def recipe(
    config: Config, *, devices: int, num_classes: int, epoch_steps: int, backend: str | None = None
) -> Recipe:
    """The published recipe of a model, for this many devices and classes."""
    kernels = lambda tree: jax.tree.map_with_path(
        lambda path, _: "kernel" in jax.tree_util.keystr(path), tree
    )
    pairing = jm.pairing_for(config.batch, shards=devices, backend=backend)
    options = {"per": config.per, "pairing": pairing}
    resnet = config.model == "resnet50"
    rate = config.batch * (0.1 / 256 if resnet else 5e-4 / 512)
    steps = epochs(config) * epoch_steps
    warm = min(5 * epoch_steps, steps // 2)
    rates = optax.warmup_cosine_decay_schedule(0.0, rate, warm, steps)
    make: Callable[..., nnx.Module]
    if resnet:
        make = partial(ResNet, stages=(1,), width=8) if config.smoke else resnet50
        decay = optax.add_decayed_weights(1e-4, kernels)
        optimizer = optax.chain(decay, optax.sgd(rates, momentum=0.9, nesterov=True))
        sampler, smoothing = partial(jm.sample_mixup, alpha=0.2, **options), 0.0
    else:
        tiny = partial(ViT, image=32, patch=8, width=32, depth=1, heads=2, drop_path=0.1)
        make = tiny if config.smoke else vit_s16
        optimizer = optax.adamw(rates, weight_decay=0.05, mask=kernels)
        sampler, smoothing = partial(jm.sample_mixup_or_cutmix, **options), 0.1
    make_model = lambda rngs: make(num_classes, dtype=jnp.bfloat16, rngs=rngs)
    draw = by_shape(sampler)
    options = {"normalise": augment.normalise_imagenet, "smoothing": smoothing}
    return classify.recipe(make_model, optimizer, draw, **options)


def epochs(config: Config) -> int:
    return config.epochs or (90 if config.model == "resnet50" else 300)


def main(config: Config) -> int:
    """Join the others, if there are any, and train."""
    if config.smoke:
        config = dataclasses.replace(
            config, out=config.out / "smoke", data=config.out / "smoke" / "data", batch=16,
            epochs=config.epochs or 4, log_every=1, save_every=2,
        )  # fmt: skip
    if config.distributed or config.coordinator:
        hosts.join(config.coordinator, config.processes, config.process, config.patience)
    try:
        with hosts.errors_end_all():
            return run(config)
    except loop.Stop as stop:
        print(stop, file=sys.stderr)
        return 1


def prepare(config: Config, device_count: int) -> None:
    """Check the batch, and generate the pictures of a smoke run."""
    if config.batch % device_count or config.batch < 2 * device_count:
        raise loop.Stop(
            f"The batch of {config.batch} does not give each of {device_count} devices the same "
            "number of rows, two or more: give another --batch."
        )
    if config.smoke and jax.process_index() == 0 and not config.data.exists():
        parts = config.data.with_name("data.part")
        shutil.rmtree(parts, ignore_errors=True)
        data.generate(parts)
        parts.rename(config.data)


def opened(config: Config, batches: Callable[..., Any]) -> tuple[Any, Any]:
    """What the data set says of itself, and its batches for training."""
    try:
        return data.builder(config.data).info, iter(batches("train", train=True))
    except (FileNotFoundError, ValueError) as error:
        raise loop.Stop(str(error)) from error


def run(config: Config) -> int:
    """Train from the newest checkpoint, or from the start, to the end."""
    index, count, device_count = jax.process_index(), jax.process_count(), jax.device_count()
    prepare(config, device_count)
    hosts.wait_for_all("data")
    batches = partial(
        data.batches, config.data, batch=config.batch // count, image=32 if config.smoke else 224,
        seed=config.seed, process_index=index, process_count=count, workers=config.workers,
    )  # fmt: skip
    info, source = opened(config, batches)
    epoch_steps = info.splits["train"].num_examples // config.batch
    classes, steps = info.features["label"].num_classes, epochs(config) * epoch_steps
    chosen = recipe(config, devices=device_count, num_classes=classes, epoch_steps=epoch_steps)
    mesh = jax.make_mesh((device_count,), (devices.AXIS,), axis_types=(AxisType.Auto,))
    program = devices.program(mesh, chosen, seed=config.seed, fsdp=config.fsdp)

    settings = {"epochs": epochs(config), "devices": device_count, "processes": count}
    settings |= {name: getattr(config, name) for name in DEFINING}
    checkpoints = checkpoint.Checkpoints(config.out, settings)
    state = checkpoints.restore(program.shapes, program.shardings, source)
    state = program.init() if state is None else state
    print(f"From step {int(state.step)} to {steps}.", flush=True)
    key = devices.key_on(mesh, config.seed + 1)
    put = partial(devices.on_devices, sharding=program.batch)
    shown = {"total": steps, "every": config.log_every, "console": Console()}
    with log.Log(config.out, **shown) as logged, hosts.stop_asked() as stopped:
        state = loop.fit(
            lambda state: program.train(state, key, put(next(source))), state,
            loop.Hooks(logged, partial(checkpoints.save, data=source), stopped), steps=steps,
            evaluate=lambda state: loop.score(
                program.evaluate(state, *put(rows)) for rows in batches("validation", train=False)
            ),
            evaluate_every=epoch_steps, save_every=config.save_every,
        )  # fmt: skip
    checkpoints.close()
    if int(state.step) == steps:
        return 0
    print(f"Stopped at step {int(state.step)} and saved; the same command goes on from there.")
    return 130


if __name__ == "__main__":
    cli.main("imagenet", Config, main, __doc__)
