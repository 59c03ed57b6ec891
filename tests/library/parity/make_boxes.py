"""Run the authors' code of CutMix and of methods near it on the inputs that are there.

    python -m tests.library.parity.make_boxes PATH_OF_CHECKOUTS

It needs PyTorch and Pillow.
"""

import math
import sys
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.cases import Case
from tests.library.parity.stand_ins import (
    Given,
    decimals,
    first,
    last,
    numpy,
    tensors,
    torch_with,
    write,
)
from tests.library.parity.test_boxes import ramps


def cutmix(root):
    """What their train does with the box is written again; the box is theirs."""
    checkout, case = Checkout(root, "clovaai/CutMix-PyTorch"), Case("cutmix")
    found = {"mixed": [], "lam": [], "boxes": []}
    for lam, *place in case.drawn:
        names = checkout.names("train.py", "rand_bbox", np=numpy(*map(int, place)))
        x = torch.from_numpy(first(case.x).copy())
        left, top, right, bottom = names["rand_bbox"](x.size(), lam)
        x[:, :, left:right, top:bottom] = x[case.index, :, left:right, top:bottom]
        found["mixed"].append(last(x))
        found["lam"].append(1 - (right - left) * (bottom - top) / (x.shape[-1] * x.shape[-2]))
        found["boxes"].append([left, top, right, bottom])
    write(checkout, "cutmix", **found)


def attentivecutmix(root):
    """Cells have 4 x 4 positions, not 32 x 32, and the network is its last feature map."""
    checkout, case = Checkout(root, "xden2331/attentive_cutmix"), Case("attentivecutmix")
    (features,) = tensors(case.features)
    names = checkout.names(
        "attentive_image.py", "top_k", "get_attentive_regions", "replace_attentive_regions",
        "replace_attentive_region", np=np, Image=Image, grid_size=4,
        TF=SimpleNamespace(to_tensor=torch.from_numpy), model=lambda _: features[None, None],
    )  # fmt: skip
    under, image = case.x[..., 0]
    regions = names["get_attentive_regions"](image)
    mixed = names["replace_attentive_regions"](under, image, regions)
    write(checkout, "attentivecutmix", mixed=np.asarray(mixed)[..., None])


def hmix_or_gmix(root, mode):
    checkout, case = Checkout(root, "naver-ai/hmix-gmix"), Case(mode)
    found = {"mixed": [], "lam": []}
    for lam, *ratio, row, column in map(decimals, case.drawn):
        names = checkout.names(
            "mixup.py", "Mixup", "hmix_bbox_and_lam", "gmix_gaussian_kernel",
            torch=torch, math=math, np=numpy(0.0, lam, int(row), int(column)),
        )  # fmt: skip
        settings = dict(zip(["hmix_ratio"], ratio, strict=False))  # a number that is not drawn
        (x,) = tensors(first(case.x))
        mix = names["Mixup"](mixup_alpha=0.0, cutmix_alpha=1.0, cutmix_mode=mode, **settings)
        found["lam"].append(mix._mix_batch(x))
        found["mixed"].append(last(x))
    write(checkout, mode, **found)


def hmix(root):
    hmix_or_gmix(root, "hmix")


def gmix(root):
    hmix_or_gmix(root, "gmix")


def recursivemix(root):
    """Both x are the test's; `bounds` are what their share is drawn between."""
    checkout, case = Checkout(root, "implus/RecursiveMix-pytorch"), Case("recursivemix")
    found, bounds = {"mixed": [], "labels": [], "boxes": [], "lam": []}, set()
    for share, row, column in case.drawn:
        uniform = lambda *limits, share=share: bounds.add(limits) or share
        names = checkout.names(
            "utils.py", "recursive_mix", torch=torch, F=F, np=numpy(int(column), int(row)),
            random=SimpleNamespace(uniform=uniform),
        )  # fmt: skip
        old_x, old_y, y = tensors(first(ramps(12)), case.old_y, np.eye(3, dtype=np.float32)[case.y])
        x = torch.full_like(old_x, -1)
        x, y, boxes, lam = names["recursive_mix"](x, old_x, y, old_y, 0.5, "bilinear")
        for name, value in zip(found, (last(x), y, boxes[0], lam), strict=True):
            found[name].append(value)
    write(checkout, "recursivemix", **found, bounds=np.ravel(list(bounds)))


def resizemix(root, mode):
    """x is the test's."""
    checkout, case = Checkout(root, "Westlake-AI/openmixup"), Case(f"resizemix_{mode}")
    found = {"mixed": [], "lam": []}
    for tao, row, column in map(decimals, case.drawn):
        x, index = tensors(first(ramps(12)), case.index)
        names = checkout.names(
            "openmixup/models/augments/resizemix.py", "resizemix",
            np=numpy(tao, int(column), int(row)), interpolate=F.interpolate,
            torch=torch_with(randperm=lambda _, index=index: index),
        )  # fmt: skip
        mixed, (_, _, lam) = names["resizemix"](x, index, interpolate_mode=mode)
        found["mixed"].append(last(mixed))
        found["lam"].append(lam)
    write(checkout, f"resizemix_{mode}", **found)


def resizemix_bilinear(root):
    resizemix(root, "bilinear")


def resizemix_nearest(root):
    resizemix(root, "nearest")


def ricap(root):
    """Each quarter is cut from the place that it goes to, as if so drawn."""
    checkout, case = Checkout(root, "jackryo/ricap"), Case("ricap")
    x, y, indices = tensors(first(case.x), case.y, case.indices)
    right, below = np.round(case.share * x.shape[2:]).astype(int)
    places = (0, 0), (right, 0), (0, below), (right, below)
    names = checkout.names(
        "trainers.py", "TrainerRICAP", Trainer=object,
        np=numpy(*decimals(case.share), *np.ravel(places)),
        torch=torch_with(randperm=Given(*indices).randperm),
    )  # fmt: skip
    self = SimpleNamespace(beta=0.3, cuda=lambda x: x)
    mixed, (labels, weights) = names["TrainerRICAP"].ricap(self, x, y)
    labels, weights = ([part[k] for k in range(4)] for part in (labels, weights))
    write(checkout, "ricap", mixed=last(mixed), labels=np.stack(labels), weights=weights)


def saliencymix(root):
    """OpenCV's map is the one in the file."""
    checkout, case = Checkout(root, "SaliencyMix/SaliencyMix"), Case("saliencymix")
    boxes = []
    for saliency, lam in zip(case.saliency, decimals(case.lam), strict=True):
        detector = SimpleNamespace(computeSaliency=lambda _, found=saliency: (True, found))
        kind = SimpleNamespace(StaticSaliencyFineGrained_create=lambda found=detector: found)
        names = checkout.names(
            "SaliencyMix_CIFAR/saliencymix.py", "saliency_bbox",
            np=numpy(), cv2=SimpleNamespace(saliency=kind),
        )  # fmt: skip
        boxes.append(names["saliency_bbox"](torch.zeros(3, *saliency.shape), lam))
    write(checkout, "saliencymix", boxes=boxes)


def smmix(root):
    checkout, case = Checkout(root, "ChenMnZ/SMMix"), Case("smmix")
    (attention,) = tensors(case.attention)
    model = nn.Module()
    model.forward = lambda _: (torch.eye(4), attention)
    found = {"mixed": [], "kept": [], "lam": []}
    for side in case.sides.tolist():
        names = checkout.names(
            "smmix.py", "SMMix", "batch_index_generate", Mixup=object, torch=torch, np=numpy(0.0),
            random=Given((side, side)), mixup_target=lambda _, classes, lam, *__: (lam, None, None),
        )  # fmt: skip
        mix = names["SMMix"](side=6)
        mixed, lam, (_, _, kept, *_) = mix(*tensors(first(case.x)), None, model)
        for name, value in zip(found, (last(mixed), kept.reshape(4, 6, 6), lam), strict=True):
            found[name].append(np.asarray(value))
    write(checkout, "smmix", **found)


def smoothmix(root):
    checkout, case = Checkout(root, "Westlake-AI/openmixup"), Case("smoothmix")
    x, index = tensors(first(case.x), case.index)
    found = {"mixed": [], "lam": []}
    for row, column, sigma in map(decimals, case.drawn):
        drawn = Given(torch.tensor([int(column)]), torch.tensor([int(row)]))
        rand = torch.tensor([(sigma / 8 - 0.25) * 4])
        names = checkout.names(
            "openmixup/models/augments/smoothmix.py", "smoothmix", np=np,
            torch=torch_with(
                randperm=lambda _: index, randint=drawn.randint, rand=lambda _, rand=rand: rand
            ),
        )  # fmt: skip
        mixed, (_, _, lam) = names["smoothmix"](x, index, lam=0.5)
        found["mixed"].append(last(mixed))
        found["lam"].append(lam)
    write(checkout, "smoothmix", **found)


def snapmix(root):
    """x is the test's. Of a network with these maps for all classes they find them again."""
    checkout, case = Checkout(root, "Shaoli-Huang/SnapMix"), Case("snapmix")
    y, index, cam = tensors(case.y, case.index, case.cam)
    model, classifier = nn.Module(), nn.Linear(3, 3, bias=True)
    classifier.weight.data, classifier.bias.data = torch.eye(3), torch.zeros(3)
    model.module = SimpleNamespace(classifier=classifier)
    model.forward = lambda _: (None, cam[:, None].expand(4, 3, 16, 16), None)
    conf = SimpleNamespace(prob=1.0, beta=5.0, cropsize=16, netname="resnet")
    found = {"mixed": [], "lam_a": [], "lam_b": []}
    for lam, row, column, lam_b, row_b, column_b in map(decimals, case.drawn):
        places = map(int, (row, column, row_b, column_b))
        box = checkout.names("utils/custom_ops.py", "rand_bbox", np=numpy(*places))
        names = checkout.names(
            "utils/mixmethod.py", "snapmix", "get_spm", F=F, utils=SimpleNamespace(**box),
            np=numpy(0.0, lam, lam_b), torch=torch_with(randperm=lambda _: index),
        )  # fmt: skip
        mixed, _, _, *both = names["snapmix"](*tensors(first(ramps(16))), y, conf, model)
        for name, value in zip(found, (last(mixed), *both), strict=True):
            found[name].append(np.asarray(value))
    write(checkout, "snapmix", **found)


if __name__ == "__main__":
    for make in (
        cutmix, attentivecutmix, hmix, gmix, recursivemix, resizemix_bilinear, resizemix_nearest,
        ricap, saliencymix, smmix, smoothmix, snapmix,
    ):  # fmt: skip
        make(sys.argv[1])
