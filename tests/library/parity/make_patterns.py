"""Run the authors' code of cells, blobs, blocks and noise on the inputs that are there.

    pip download timm==1.0.31 --no-deps && unzip timm-1.0.31-py3-none-any.whl -d timm-1.0.31
    python -m tests.library.parity.make_patterns PATH_OF_CHECKOUTS timm-1.0.31

It needs PyTorch and SciPy.
"""

import enum
import math
import random
import sys
from types import SimpleNamespace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import erfinv

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.cases import Case
from tests.library.parity.make_copy_paste import Package
from tests.library.parity.stand_ins import (
    TORCH,
    Drawn,
    Given,
    decimals,
    first,
    last,
    numpy,
    numpy_with,
    save,
    tensors,
    torch_with,
    write,
)


def cowmix(root):
    """The file has five decimals of what is smooth."""
    checkout, case = Checkout(root, "WilhelmT/ClassMix"), Case("cowmix")
    smooth, masks = [], []

    def smoothed(noise, sigma):
        smooth.append(gaussian_filter(noise, sigma))
        return smooth[-1]

    for sigma, part in case.drawn:
        names = checkout.names(
            "utils/transformmasks.py", "generate_cow_mask",
            np=numpy(None, case.noise.astype(float)), gaussian_filter=smoothed, erfinv=erfinv,
        )  # fmt: skip
        masks.append(names["generate_cow_mask"](case.noise.shape, sigma, *decimals(part)))
    write(checkout, "cowmix", smooth=np.round(smooth, 5), mask=masks)


def fmix(root):
    """Their grey image is made of this noise, and λ times the positions is rounded up."""
    checkout, case = Checkout(root, "ecs-vlc/FMix"), Case("fmix")
    shape, noise = (8, 12), np.random.RandomState(3).randn(1, 8, 7, 2)
    found = []
    functions = "fftfreqnd", "get_spectrum", "make_low_freq_image", "binarise_mask"
    names = checkout.names(
        "fmix.py", *functions, math=math, np=numpy(1.0, np.round(64 * noise) / 64)
    )
    scale = names["get_spectrum"](names["fftfreqnd"](*shape), 3, 1, *shape)[0, ..., 0]
    grey = names["make_low_freq_image"](3, shape)
    for lam in decimals(case.lam):
        names["random"] = Given(0.75)
        found.append(names["binarise_mask"](grey.copy(), lam, shape)[0])
    write(checkout, "fmix", scale=scale, grey=grey[0], mask=found)


def gridmixup(root):
    """Their crop is all of the image, and cells are squares."""
    checkout, case = Checkout(root, "IlyaDobrynin/GridMixup"), Case("gridmixup")
    x, index = tensors(first(case.x), case.index)
    found = {"mixed": [], "lam": []}
    for lam, number in case.drawn:
        names = checkout.names(
            "gridmix/gridmix_pytorch.py", "GridMixupLoss", nn=torch.nn, math=math,
            np=numpy(lam, 1.0, 1.0, 1.0, 0.0, 0.0), random=Given(int(number)),
            torch=torch_with(randperm=lambda _: index),
        )  # fmt: skip
        mixed, (*_, shares) = names["GridMixupLoss"]().get_sample(x, index[:, None])
        found["mixed"].append(last(mixed))
        found["lam"].append(shares[0])
    write(checkout, "gridmixup", **found)


def maskmix(root):
    """Their label has λ for each row along its classes, and so asks for as many classes as rows."""
    checkout, case = Checkout(root, "Westlake-AI/openmixup"), Case("maskmix")
    x, index, attention = tensors(first(case.x), case.index, case.attention)
    names = checkout.names(
        "openmixup/models/augments/mixpro.py", "mixpro", math=math, np=numpy(*case.order),
        torch=torch_with(
            randperm=lambda _: index, full=lambda size, value, device: torch.full(size, value)
        ),
    )  # fmt: skip
    seen = torch.nn.functional.pad(attention.flatten(1), (1, 0))[:, None, None]
    (lam,) = decimals(case.drawn)
    mixed, (*_, lam), attention_lam, _ = names["mixpro"](
        x, index, seen, lam=lam, num_classes=4, mask_patch_size=4, model_patch_size=2
    )
    mixed = last(mixed)[..., :1]  # it has three channels of one
    write(checkout, "maskmix", mixed=mixed, lam=lam, attention_lam=attention_lam)


class Images(np.ndarray):
    """Images of NumPy that tell their shape as TensorFlow's do."""

    def get_shape(self):
        return SimpleNamespace(as_list=lambda: self.shape)


def tensorflow(drawn, noise):
    """Their ops by NumPy, with these uniform numbers, one for each call, and this noise."""
    return SimpleNamespace(
        random_uniform=Given(*drawn).uniform,
        random_normal=lambda _, mean, deviation: mean + deviation * noise,
        cast=lambda x, kind: kind(x), constant=lambda x, dtype: dtype(x), to_float=np.float32,
        concat=np.concatenate, stack=np.stack, fill=np.full, expand_dims=np.expand_dims,
        reduce_sum=np.sum, reduce_mean=np.mean, maximum=np.maximum, minimum=np.minimum,
        float32=np.float32, int32=np.int32,
    )  # fmt: skip


def mixedexample(root):
    """Lines are at 3 and 5 of 8."""
    checkout, case = Checkout(root, "ceciliaresearch/MixedExample"), Case("mixedexample")
    drawn = {
        "vert_concat": (3,),
        "horiz_concat": (5,),
        "mixed_concat": (3, 5),
        "vh_mixup": (3, 5, 0.3),
        "random_rows": (case.rows_u[:, None, None], 0.4),
        "random_pixels": (case.pixels_u[..., None], 0.55),
        "random_2x2": (3, 5, np.array([0.25, 0.75, 0.75, 0.25]), 0.5),
        "noisy_mixup": (0.4,),
    }
    helpers = "vert_concat", "horiz_concat", "mixup"
    images, labels, found = case.x.view(Images), np.eye(2, dtype=np.float32), {}
    for name, numbers in drawn.items():
        wanted = {*helpers, name}
        tf = tensorflow(numbers, case.noise[..., None])
        method = checkout.names("mixed_example.py", *wanted, tf=tf)[name]
        found[name + "_image"], found[name + "_label"] = method(images, labels)
    write(checkout, "mixedexample", **found)


def patchup(root):
    checkout, case = Checkout(root, "chandar-lab/PatchUp"), Case("patchup")
    x, seeds, y = tensors(first(case.x), np.moveaxis(case.seeds, -1, 0), np.eye(3)[case.y])
    lam, gamma = decimals([case.lam, case.gamma])
    names = checkout.names(
        "modules/patchup.py", "PatchUp", "PatchUpMode",
        **TORCH | {"torch": torch_with(bernoulli=lambda _: seeds.float())},
        Enum=enum.Enum, np=numpy(case.index, case.index),
    )  # fmt: skip
    module, found = names["PatchUp"](int(case.block), gamma), {}
    for mode in ("soft", "hard"):
        kind = names["PatchUpMode"](mode)
        _, _, found[mode + "_y"], mixed, unchanged = module(x, y, lam, kind)
        found[mode] = last(mixed)
    write(checkout, "patchup", unchanged=unchanged, gamma_adjusted=module.gamma_adj, **found)


def tokenmix(root):
    checkout, masks, lams = Checkout(root, "Sense-X/TokenMix"), [], []
    names = checkout.names("tokenmix.py", "generate_mask", torch=torch, math=math, np=numpy())
    for seed in range(40):
        names["random"] = random.Random(seed)
        mask, lam = names["generate_mask"](0.5, "cpu", 14)
        masks.append(mask[0, 0])
        lams.append(lam)
    write(checkout, "tokenmix", mask=torch.stack(masks), lam=lams)


TIMM = "huggingface/pytorch-image-models", "timm-1.0.31"


def naflex(folder):
    """The first corners of their boxes are in the overlap of two images."""
    package, case = Package(folder, *TIMM), Case("naflex")
    places = [np.ix_(valid.any(1), valid.any(0)) for valid in case.valid]
    images = [np.moveaxis(x[place], -1, 0) for x, place in zip(case.x, places, strict=True)]
    beta = SimpleNamespace(Beta=lambda *_: SimpleNamespace(sample=lambda: case.lam))
    names = package.names(
        "timm/data/naflex_mixup.py", "mix_batch_variable_size", math=math,
        torch=torch_with(distributions=beta), random=Given(1, 1, 1, 2, 1, 1, 1, 2),
    )  # fmt: skip
    found = {}
    for name, other in (("mixed", "cutmix_alpha"), ("cut", "mixup_alpha")):
        mixed, lam, pairs = names["mix_batch_variable_size"](
            tensors(*images), local_shuffle=1, **{other: 0.0}
        )
        found[name], found[name + "_lam"] = np.zeros_like(case.x), lam
        for row, place, image in zip(found[name], places, mixed, strict=True):
            row[place] = np.moveaxis(image.numpy(), 0, -1)
    found |= {"kept": (found["cut"] == case.x).all(-1), "index": [pairs[i] for i in range(4)]}
    write(package, "naflex", **found)


def timm(folder):
    """They draw whether to mix, which of the two (CutMix below ½), λ, and the centre of a box."""
    package, case = Package(folder, *TIMM), Case("timm")
    helpers = "one_hot", "mixup_target", "rand_bbox", "cutmix_bbox_and_lam"
    lam, cut, mixing = np.array([0.75, 0.6, 0.75, 0.2]), np.array([0.2, 0.9, 0.3, 0.8]), np.zeros(4)
    drawn = {
        "batch_cut": (0.0, 0.2, 0.75, 3, 6),
        "batch_mix": (0.0, 0.9, 0.4),
        "elem": (cut, lam, lam, mixing, 3, 6, 1, 10),
        "pair": (cut[:2], lam[:2], lam[:2], mixing[:2], 3, 6),
    }
    found = {}
    for name, numbers in drawn.items():
        names = package.names(
            "timm/data/mixup.py", "Mixup", *helpers, torch=torch, np=numpy(*numbers)
        )
        mode = name.split("_")[0]
        mixup = names["Mixup"](cutmix_alpha=1.0, mode=mode, label_smoothing=0.1, num_classes=3)
        mixed, found[name + "_y"] = mixup(*tensors(first(case.x), case.y))
        found[name] = last(mixed)
    write(package, "timm", **found)


def fademix(root):
    checkout = Checkout(root, "taeoh-kim/temporal_data_augmentation")
    rng = np.random.default_rng(12)
    x, y = rng.random((4, 2, 5, 3, 4), np.float32), np.array([0, 2, 1, 1])
    weight = rng.normal(size=(2, 3)).astype(np.float32)
    saved = {"x": last(x), "y": y, "weight": weight}
    saved |= {"drawn": [], "index": [], "mixed": [], "loss": []}
    for seed in range(3):
        drawn, seen = Drawn(seed), []

        def model(x, seen=seen):
            seen.append(last(x))
            return x.mean((2, 3, 4)) @ torch.from_numpy(weight)

        names = checkout.names(
            "utility.py", "mix_regularization", np=numpy_with(drawn), torch=torch
        )
        torch.manual_seed(seed)
        mixing = names["mix_regularization"]
        saved["loss"].append(
            mixing(*tensors(x, y), model, TORCH["F"].cross_entropy, "fademixup")[1]
        )
        torch.manual_seed(seed)
        saved["index"].append(torch.randperm(4))
        saved["drawn"].append(drawn.numbers)  # λ, the sign of the slope, the slope
        saved["mixed"].append(seen[0])
    save(checkout, "fademix", "utility.py mix_regularization, mix_type = fademixup", **saved)


if __name__ == "__main__":
    for make in (cowmix, fmix, gridmixup, maskmix, mixedexample, patchup, tokenmix, fademix):
        make(sys.argv[1])
    for make in (naflex, timm):
        make(sys.argv[2])
