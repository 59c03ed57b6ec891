"""Other libraries' mixup and CutMix: their published packages, as shipped, on the same batch.

Options are each library's defaults, except for what `per` asks for, timm's recipe (0.8 and 1.0,
labels not smoothed), and kornia's CutMix, which has the paper's λ because its default warns. So
arithmetic and labels differ: keras and timm return dense labels, kornia two ids and a λ.

keras runs jitted on JAX's default device; kornia and timm run in PyTorch on the CPU, with its own
default number of threads. Every call draws again.
"""

# The extra `bench` may be absent.
# pyright: reportMissingImports=false

import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Row

MEAN, STD = 127.0, 58.0


def peers(
    images: np.ndarray, labels: np.ndarray, *, num_classes: int, per: str, normalise: bool
) -> dict[str, Row | str]:
    """A row for each peer, or the reason why there is none.

    Args:
      images: f32 or u8 [b, (t,) h, w, c].
      labels: i32[b].
      num_classes: number of classes in dense labels.
      per: "batch" or "example", which each get their own λ and box.
      normalise: whether to return (x - 127) / 58 in float32, in each library's own way.
    """
    settle()
    makers = {
        "keras MixUp": partial(make_keras, "MixUp"),
        "keras CutMix": partial(make_keras, "CutMix"),
        "kornia RandomMixUpV2": partial(make_kornia, "RandomMixUpV2"),
        "kornia RandomCutMixV2": partial(make_kornia, "RandomCutMixV2", use_correct_lambda=True),
        "timm Mixup": make_timm,
    }
    given = (images, labels, num_classes, per, normalise)
    return {name: attempt(make, *given) for name, make in makers.items()}


def settle() -> None:
    """Set what keras and torch read once, when they are imported."""
    os.environ["KERAS_BACKEND"] = "jax"
    # Otherwise torch's idle threads spin for a while after each call: the next row, which may not
    # be torch's, shares its cores with them, and torch is many times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def attempt(make: Callable[..., Row | str], *arguments: Any) -> Row | str:
    """A peer's row, or why there is none: a broken package costs its own row, not the benchmark."""
    try:
        row = make(*arguments)
        if isinstance(row, Row):
            row.call()
        return row
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed: pip install '.[bench]'"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def versions() -> dict[str, str]:
    """Each package's version; torch's with its number of threads, once `peers` has loaded it."""
    found = {}
    for name in ("keras", "kornia", "mixup", "timm", "torchvision", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    if torch := sys.modules.get("torch"):
        found["torch"] += f", {torch.get_num_threads()} threads"
    return found


def make_keras(
    method: str,
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    per: str,
    normalise: bool,
) -> Row | str:
    import keras

    if keras.backend.backend() != "jax":
        return f"keras was imported before, with the backend {keras.backend.backend()}"
    if per == "batch":
        return f"keras {method} draws λ for each example only"
    if images.ndim != 4:
        return f"keras {method} takes images only"
    layer = getattr(keras.layers, method)(data_format="channels_last")
    layer.build(images.shape)

    def step(state, images, labels):
        data = {"images": images, "labels": keras.ops.one_hot(labels, num_classes)}
        # Under a plain jit the layer's seed would be a constant, and each call the same draw.
        data, state = layer.stateless_call([], state, data, training=True)
        if normalise:
            data["images"] = (data["images"] - MEAN) / STD
        return data, state

    state = [variable.value for variable in layer.non_trainable_variables]
    images, labels = jax.device_put((images, labels))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Explicitly requested dtype int64")  # keras's indices
        jax.clear_caches()  # as in `timing.compiled`
        start = time.perf_counter()
        compiled = jax.jit(step).lower(state, images, labels).compile()
        seconds = time.perf_counter() - start

    def call():
        nonlocal state
        data, state = compiled(state, images, labels)
        return data

    return Row(call, seconds)


def make_kornia(
    method: str,
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    per: str,
    normalise: bool,
    **options: bool,
) -> Row | str:
    import kornia
    import torch

    if images.ndim != 4:
        return f"kornia {method} takes images only, its VideoSequential no labels"
    if images.dtype == np.uint8 and not normalise:
        return f"kornia {method} refuses uint8"
    mix = getattr(kornia.augmentation, method)(
        data_keys=["input", "class"], same_on_batch=per == "batch", **options
    )
    x, y = as_tensor(images), torch.tensor(labels)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)

    def call():
        return mix(kornia.enhance.normalize(x.float(), mean, std) if normalise else x, y)

    return Row(call)


def make_timm(
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    per: str,
    normalise: bool,
    mixup_alpha: float = 0.8,
    cutmix_alpha: float = 1.0,
) -> Row | str:
    import torch

    if images.ndim != 4:
        return "timm Mixup takes images only"
    if len(images) % 2:
        return "timm Mixup takes batches of even size only"
    if images.dtype == np.uint8 and not normalise:
        if per == "batch":
            return "timm Mixup refuses uint8"
        return "timm Mixup truncates λ to 0 in the labels of uint8 images"
    mix = _timm_mixup().Mixup(
        mixup_alpha=mixup_alpha,
        cutmix_alpha=cutmix_alpha,
        switch_prob=0.5,
        mode={"batch": "batch", "example": "elem"}[per],
        label_smoothing=0.0,
        num_classes=num_classes,
    )
    x, y = as_tensor(images), torch.tensor(labels)

    def call():
        # timm mixes in place. Normalised pixels are new in each call, as in its loader. Otherwise
        # calls mix one buffer again and again: it keeps its range, and a copy, which timm does not
        # make, would be charged to it. Only the first result is a mix of the given images.
        return mix(x.to(torch.float32, copy=True).sub_(MEAN).div_(STD) if normalise else x, y)

    return Row(call)


def as_tensor(images: np.ndarray) -> Any:
    """Images as [b, c, h, w], in memory of their own."""
    import torch

    return torch.from_numpy(np.moveaxis(images, -1, 1).copy())


def _timm_mixup() -> ModuleType:
    """timm's module `timm.data.mixup`, as installed.

    Loaded by its file: it needs only NumPy and torch, where `import timm` needs a torchvision that
    was built for the very torch that is installed.
    """
    return load(Path(str(metadata.distribution("timm").locate_file("timm/data/mixup.py"))))


def load(file: Path) -> ModuleType:
    """A module by its file, without the package that it belongs to."""
    spec = importlib.util.spec_from_file_location(f"one_file_{file.stem}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
