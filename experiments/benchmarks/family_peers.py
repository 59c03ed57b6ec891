"""Other libraries' methods of the family, as shipped, in PyTorch on the CPU.

- torchvision's v2 transforms, and `mixup` from PyPI: dense labels.
- openmixup: two ids and λ for each batch, which is less work. It is not on PyPI, and its package
  needs mmcv, so each method is loaded by its file from a checkout. It asks for CUDA; here its
  tensors stay where they are.

openmixup pastes in place, so that its calls mix one buffer again and again (see `peers.make_timm`).
Every call draws again.
"""

# The extra `bench` may be absent.
# pyright: reportMissingImports=false

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Row

NO_FOLDER = "git clone https://github.com/Westlake-AI/openmixup, then --openmixup ITS_FOLDER"


class Work(NamedTuple):
    """What a peer is given."""

    images: np.ndarray  # f32 [b, h, w, c]
    ids: np.ndarray  # i32[b]
    classes: int
    maps: np.ndarray  # f32 [b, h, w]: saliency, where a method is given it
    openmixup: Path | None  # a checkout


Maker = Callable[[Work], Row | str]  # or why there is none


def known(make: Callable, *arguments: Any, per: str = "batch", **options: Any) -> Maker:
    """A peer that `peers` has, too."""

    def maker(work: Work) -> Row | str:
        given = (work.images, work.ids, work.classes, per, False)
        return make(*arguments, *given, **options)

    return maker


def torchvision(*methods: str) -> Maker:
    """One transform, or one of several at random for each batch."""

    def maker(work: Work) -> Row:
        v2 = _torchvision()
        mixes = [getattr(v2, name)(alpha=1.0, num_classes=work.classes) for name in methods]
        mix = mixes[0] if len(mixes) == 1 else v2.RandomChoice(mixes)
        x, y = _tensors(work)
        return Row(lambda: mix(x, y))

    return maker


def package(*methods: str, **options: Any) -> Maker:
    """`mixup` of PyPI, which takes dense labels: one method, or one of several for each batch."""

    def maker(work: Work) -> Row:
        import mixup
        from torch.nn.functional import one_hot

        mixes = [getattr(mixup, name)(**options) for name in methods]
        mix = mixes[0] if len(mixes) == 1 else mixup.MixupPipeline(mixes)
        x, y = _tensors(work)
        return Row(lambda: mix(x, one_hot(y, work.classes).float()))

    return maker


def openmixup(method: str, follows: str = "", **options: Any) -> Maker:
    """A function of openmixup.

    Args:
      method: its name, and its file's.
      follows: what it is given: "features" or "cam" from `maps`, "attention" of 14 x 14 tokens, or
        "spectral" residual, which is computed in the call.
      options: its other arguments.
    """

    def maker(work: Work) -> Row | str:
        import torch

        if work.openmixup is None:
            return NO_FOLDER
        module = _load_openmixup(work.openmixup, method)
        function = getattr(module, method)
        x, y = _tensors(work)
        given = options | _followed(follows, work)
        if method == "fmix":
            given["size"] = x.shape[2:]
        residual = module.SpectralResidual(device="cpu") if follows == "spectral" else None

        def call():
            with mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
                if residual is not None:
                    given["features"] = residual.transform_spectral_residual(x)
                return function(x, y, **given)

        return Row(call)

    return maker


def _followed(follows: str, work: Work) -> dict[str, Any]:
    """Given maps in the form that openmixup takes."""
    import torch

    maps = torch.from_numpy(work.maps)
    side = maps.shape[1]
    if follows == "features":
        return {"features": maps[:, None, :: side // 7, :: side // 7].contiguous()}
    if follows == "cam":
        return {"features": maps}
    if follows == "attention":  # of one head; row 0 is the class token's
        tokens = maps[:, :: side // 14, :: side // 14].reshape(len(maps), 1, 1, -1)
        attention = torch.zeros(len(maps), 1, 197, 197)
        attention[:, :, :1, 1:] = tokens
        return {"attn": attention}
    return {}


def _tensors(work: Work) -> tuple[Any, Any]:
    import torch

    return peers.as_tensor(work.images), torch.from_numpy(work.ids.astype(np.int64))


def _torchvision() -> ModuleType:
    """Its v2 transforms.

    Its compiled operators need the very torch that they were built for. Mixing uses none of them.
    """
    name = "torchvision._meta_registrations"
    try:
        from torchvision.transforms import v2
    except RuntimeError:
        sys.modules[name] = ModuleType(name)
        from torchvision.transforms import v2
    return v2


def _load_openmixup(folder: Path, method: str) -> ModuleType:
    """One file of openmixup, without its package and what that needs."""
    from torch.nn.modules.utils import _pair

    if method == "guidedmix":
        _torchvision()
    name, file = "openmixup.models.utils", folder / f"openmixup/models/augments/{method}.py"
    utils = sys.modules[name] = ModuleType(name)
    vars(utils).update(to_2tuple=_pair, batch_shuffle_ddp=None)  # ddp: for several processes only
    try:
        return peers.load(file)
    finally:
        del sys.modules[name]
