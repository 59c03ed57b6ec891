"""Flax models, one file each, and a table of those that scripts choose by name."""

from collections.abc import Callable
from typing import Any

from flax import nnx

from experiments.models.cnn import CNN
from experiments.models.densenet import densenet100_12, densenet190_40
from experiments.models.preact import preact8, preact18, preact34, wrn28_10
from experiments.models.resnet import resnet50
from experiments.models.vit import vit_s16

MODELS: dict[str, Callable[..., nnx.Module]] = {
    "cnn": CNN,
    "preact8": preact8,
    "preact18": preact18,
    "preact34": preact34,
    "wrn28_10": wrn28_10,
    "densenet100_12": densenet100_12,
    "densenet190_40": densenet190_40,
    "resnet50": resnet50,
    "vit_s16": vit_s16,
}


def make(name: str, *, num_classes: int, **options: Any) -> Callable[[nnx.Rngs], nnx.Module]:
    """The model of this name, ready for its random numbers; options are its constructor's."""
    if name not in MODELS:
        raise ValueError(f"make got name={name!r}; it needs one of {', '.join(MODELS)}.")
    return lambda rngs: MODELS[name](num_classes, rngs=rngs, **options)
