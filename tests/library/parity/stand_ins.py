"""What stands for networks, loaders and generators where others' code runs, and how files are made.

The scripts make_*.py run as `python -m tests.library.parity.make_NAME PATH_OF_CHECKOUTS` and need
PyTorch. Most draw small inputs and `save` them with what came out. The older files are made again
by `write`: their inputs and draws stay, and it says how far what comes out is from what was there.
"""

import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.library.parity.cases import FILES, Case

TORCH = {"torch": torch, "nn": nn, "F": F}


def nothing(*_, **__):
    """In place of what writes, logs or moves."""


torch.Tensor.cuda = lambda self, *_, **__: self  # there may be no GPU
OPTIMIZER = SimpleNamespace(zero_grad=nothing, step=nothing, param_groups=[{"lr": 0.0}])


class Drawn:
    """NumPy's generator, as they call it, which remembers what it drew."""

    def __init__(self, seed):
        self._generator, self.numbers = np.random.RandomState(seed), []

    def __getattr__(self, name):
        def call(*args, **options):
            self.numbers.append(getattr(self._generator, name)(*args, **options))
            return self.numbers[-1]

        return call


class Given:
    """A generator of random numbers, as they call it, that returns these, one for each call."""

    def __init__(self, *numbers):
        self._numbers = iter(numbers)

    def __getattr__(self, name):
        return lambda *_, **__: next(self._numbers)


def numpy_with(random):
    """NumPy with this generator, and with the name that older versions had."""
    return SimpleNamespace(**{**vars(np), "random": random, "int": int})


def numpy(*drawn):
    """NumPy, whose generator draws these."""
    return numpy_with(Given(*drawn))


def torch_with(**names):
    """PyTorch, with these in place of its own."""
    return SimpleNamespace(**{**vars(torch), **names})


class Meter:
    """In place of AverageMeter; the values of each name stay."""

    seen: ClassVar[dict] = {}
    val = avg = 0.0

    def __init__(self, name="", *_):
        self.name = name

    def update(self, value, *_):
        Meter.seen.setdefault(self.name, []).append(value)


class Loader(list):
    """Batches, and a data set that has a length."""

    dataset = type("Data", (), {"__len__": lambda self: 7})()


class Linear(nn.Module):
    """Logits of pictures, from the mean of their channels; it remembers its inputs."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.inputs = nn.Parameter(torch.from_numpy(weight)), []

    def forward(self, x):
        self.inputs.append(x.detach().clone())
        return x.mean((2, 3)) @ self.weight


class Mixed(Exception):
    """Raised after the mix, where their loss begins, with what their names stand for."""


def stop(*_):
    """In place of the first function that they call after the mix."""
    raise Mixed(sys._getframe(1).f_locals)


def tensors(*arrays):
    return [torch.from_numpy(np.array(x)) for x in arrays]


def first(x):
    """Channels first, as PyTorch has them."""
    return np.moveaxis(np.asarray(x), -1, 1)


def last(x):
    """Channels last."""
    return np.moveaxis(np.asarray(x), 1, -1)


def decimals(numbers):
    """0.1 where the file has the float32 next to it, as their code saw 0.1."""
    return [float(str(number)) for number in np.ravel(numbers)]


def save(checkout, name, what, **arrays):
    """Write these arrays to NAME.npz of this folder, and where they come from."""
    checkout.save(name, what, folder=FILES, **arrays)


def write(checkout, name, **outputs):
    """Write NAME.npz with these outputs in place of its own."""
    arrays = dict(Case(name))
    if not str(arrays["source"]).startswith(f"{checkout.repository}@{checkout.commit} "):
        raise ValueError(f"{name}.npz is from {arrays['source']}, not from {checkout.commit}.")
    for key, value in outputs.items():
        new, old = np.asarray(value), arrays[key]
        if new.shape != old.shape:
            raise ValueError(f"{key} of {name}.npz had shape {old.shape}, and has {new.shape}.")
        new = new.astype(old.dtype, copy=False)
        far = np.max(np.abs(new.astype(float) - old.astype(float)), initial=0)
        print(f"{name}, {key}: {'as before' if far == 0 else f'differs by up to {far:.1e}'}")
        arrays[key] = new
    np.savez_compressed(FILES / f"{name}.npz", **arrays)
