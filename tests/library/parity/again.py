"""Write a file of this folder again: its inputs and draws stay, and the authors' code runs on them.

The scripts make_boxes, make_mixup, make_pairs, make_patterns, make_features and make_saliency are
run as `python -m tests.library.parity.make_boxes PATH_OF_CHECKOUTS`, and need PyTorch. They say for
each file how far what came out is from what was there.
"""

from types import SimpleNamespace

import numpy as np

from tests.library.parity.cases import FILES, Case


class Given:
    """A generator of random numbers, as they call it, that returns these, one for each call."""

    def __init__(self, *numbers):
        self._numbers = iter(numbers)

    def __getattr__(self, name):
        return lambda *_, **__: next(self._numbers)


def numpy(*drawn):
    """NumPy, whose generator draws these, with the name that older versions had."""
    return SimpleNamespace(**{**vars(np), "random": Given(*drawn), "int": int})


def first(x):
    """Channels first, as PyTorch has them."""
    return np.moveaxis(np.asarray(x), -1, 1)


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
