"""Run the authors' code of mixup and of methods near it on the inputs that are there.

    python -m tests.library.parity.make_mixup PATH_OF_CHECKOUTS

It needs PyTorch.
"""

import sys
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.cases import Case
from tests.library.parity.stand_ins import (
    OPTIMIZER,
    TORCH,
    Given,
    Loader,
    Mixed,
    decimals,
    first,
    last,
    nothing,
    numpy,
    stop,
    tensors,
    torch_with,
    write,
)


def drawn(case):
    """NumPy and PyTorch, which draw the λ and the partners of the file."""
    index = torch.from_numpy(case.index)
    return {"np": numpy(*decimals(case.lam)), "torch": torch_with(randperm=lambda _: index)}


def mixup(root):
    checkout, case = Checkout(root, "facebookresearch/mixup-cifar10"), Case("mixup")
    names = checkout.names("train.py", "mixup_data", "mixup_criterion", **drawn(case))
    x, y, logits = tensors(case.x, np.int64(case.y), case.logits)
    mixed, *labels = names["mixup_data"](x, y)
    loss = names["mixup_criterion"](nn.CrossEntropyLoss(), logits, *labels)
    write(checkout, "mixup", mixed=mixed, loss=loss)


def manifold(root):
    checkout, case = Checkout(root, "vikasverma1077/manifold_mixup"), Case("manifold")
    names = checkout.names(
        "supervised/utils.py", "mixup_process", "to_one_hot",
        np=numpy(case.index), torch=torch, Variable=torch.autograd.Variable,
    )  # fmt: skip
    h, y = tensors(case.h, np.int64(case.y))
    mixed, labels = names["mixup_process"](h, names["to_one_hot"](y, 3), *decimals(case.lam))
    write(checkout, "manifold", mixed=mixed, labels=labels)


def imix(root):
    checkout, case = Checkout(root, "kibok90/imix"), Case("imix")
    x, index, numbers = tensors(case.x, case.index, case.drawn)
    beta = SimpleNamespace(Beta=lambda *_: SimpleNamespace(sample=lambda _: numbers))
    theirs = torch_with(randperm=lambda *_, **__: index, distributions=SimpleNamespace(beta=beta))
    mixed, _, lam = checkout.names("builder.py", "mixup", torch=theirs)["mixup"](x, 1.0)
    write(checkout, "imix", mixed=mixed, lam=lam)


def localmixup(root):
    checkout, case = Checkout(root, "raphael-baena/Local-Mixup"), Case("localmixup")
    mix = checkout.names("fashionmnist.py", "mixup_data", **drawn(case))["mixup_data"]
    x, y = tensors(case.x, np.arange(4))
    mixed, *_, weight = mix(x, y)
    write(checkout, "localmixup", mixed=mixed, weight=weight)


def regmixup(root):
    """The weights of their linear network are not in the file: they are drawn here again."""
    checkout, case = Checkout(root, "FrancescoPinto/RegMixup"), Case("regmixup")
    weight = np.round(64 * (np.random.RandomState(11).randn(192, 3) / 10)) / 64
    seen = []

    class Model:
        hparams = SimpleNamespace(mixup_alpha=1.0, mixup_beta=1.0)

        def __call__(self, x):
            seen.append(x.flatten(1) @ torch.from_numpy(np.float32(weight)))
            return seen[-1], None

    names = checkout.names("models/regularizers/mixup.py", "mixup_data", **drawn(case))
    names = checkout.names(
        "models/regmixup.py", "RegMixup", "regmixup_criterion",
        **TORCH, mixup_data=names["mixup_data"],
    )  # fmt: skip
    model = names["RegMixup"](Model)()
    model.build_loss()
    loss = model.training_step(tensors(first(case.x), np.int64(case.y)), 0)
    write(checkout, "regmixup", logits=seen[0], loss=loss)


def mixupe(root):
    """The loss of mixup is zero, and what they take for the size of a loss is one: no rescale."""
    checkout, case = Checkout(root, "oneHuster/MixupE"), Case("mixupe")
    of_mixup = "mixup_data", "mixup_criterion"
    of_settings = "get_extra_hp_for_mixup_plus", "get_x_mean", "beta_mean"
    names = checkout.names(
        "mixup.py", "training_method", *of_mixup, *of_settings, np=numpy(0.5, 0.5),
        torch=torch_with(abs=torch.ones_like, cuda=torch, randperm=torch.arange),
    )  # fmt: skip
    x, y = tensors(case.logits, np.int64(case.y))
    args = SimpleNamespace(train="mixupe", mixupe_version=3, mixup_eta=1.0, use_cuda=False)
    args.mixup_alpha, args.num_classes = float(case.alpha), x.shape[1]
    names["get_extra_hp_for_mixup_plus"](args, [(x, y)])
    found, seen, no_loss = {}, [], lambda *_: torch.tensor(0.0)
    for args.threshold, tag in zip(decimals(case.thresholds), ("1_0", "0_25"), strict=True):
        _, loss = names["training_method"](args, x, y, lambda x: seen.append(x) or x, no_loss)
        loss.backward()
        found |= {f"penalty_{tag}": loss.detach(), f"grad_{tag}": seen[-1].grad}
    write(checkout, "mixupe", **found)


def decoupled(root):
    """Of each row, where their head asks for a mean. The head makes the labels and the weights."""
    checkout, case = Checkout(root, "Westlake-AI/openmixup"), Case("decoupled")
    folder, loss = "openmixup/models", "soft_mix_cross_entropy"
    reduce = checkout.names(f"{folder}/losses/utils.py", "weight_reduce_loss", **TORCH)
    reduce = {"weight_reduce_loss": reduce["weight_reduce_loss"]}
    soft = checkout.names(f"{folder}/losses/cross_entropy_loss.py", loss, **TORCH, **reduce)[loss]
    rows = lambda *x, eta_weight, **_: soft(*x, eta_weight=eta_weight, reduction="none")
    head = checkout.names(
        f"{folder}/heads/cls_mixup_head.py", "ClsMixupHead", **TORCH,
        HEADS=SimpleNamespace(register_module=lambda kind: kind),
        BaseModule=type("Base", (), {"__init__": nothing}), build_loss=lambda _: rows,
        accuracy=nothing, accuracy_mixup=nothing,
    )["ClsMixupHead"]  # fmt: skip
    logits, *labels = tensors(case.logits, np.int64(case.y), np.int64(case.y[case.index]))
    settings, found = {"multi_label": True, "num_classes": 5, "lam_scale_mode": "pow"}, []
    for eta, power in zip(decimals(case.eta), decimals(case.power), strict=True):
        weight = {"eta": eta, "mode": "both", "thr": 0.5}
        module = head(lam_idx=power, eta_weight=weight, **settings)
        found.append(module.loss([logits], (*labels, *decimals(case.lam)))["loss"])
    write(checkout, "decoupled", loss=torch.stack(found))


def mixmatch(root):
    checkout, case = Checkout(root, "google-research/mixmatch"), Case("mixmatch")
    beta = SimpleNamespace(sample=case.drawn.reshape)
    tf = SimpleNamespace(
        distributions=SimpleNamespace(Beta=lambda *_: beta), random_shuffle=lambda _: case.index,
        shape=np.shape, range=np.arange, maximum=np.maximum, concat=np.concatenate, split=np.split,
        gather=lambda x, index: x[index],
    )  # fmt: skip
    mix = checkout.names("libml/layers.py", "MixMode", tf=tf)["MixMode"]("xxy.yxy")
    mixed = mix(np.split(case.x, 3), np.split(case.labels, 3), [0.75, 0.75])
    mixed, labels = map(np.concatenate, mixed)
    write(checkout, "mixmatch", mixed=mixed, mixed_labels=labels)


def dividemix(root):
    """Their train runs up to the loss. Networks give the labels of the file, with T = 1."""
    checkout, case = Checkout(root, "LiJunnan1992/DivideMix"), Case("dividemix")
    x, x2, u, u2, index = tensors(*np.split(first(case.x), 4), case.index)
    logits, _, logits_u, _ = tensors(*np.split(np.log(case.labels), 4))
    names = checkout.names(
        "Train_cifar.py", "train",
        torch=torch_with(randperm=lambda _: index), np=numpy(*decimals(case.drawn)),
        args=SimpleNamespace(num_class=3, T=1.0, alpha=4.0, batch_size=2),
        criterion=stop, warm_up=0, iter=lambda batches: batches,
    )  # fmt: skip
    net = Given(logits_u, logits_u, logits, logits, logits).net
    net2 = Given(logits_u, logits_u).net
    net.train = net2.eval = nothing
    labeled = Loader([(x, x2, torch.zeros(2, dtype=int), torch.zeros(2))])
    try:
        names["train"](0, net, net2, OPTIMIZER, labeled, Given((u, u2)))
    except Mixed as mixed:
        theirs = mixed.args[0]
    mixed, labels = last(theirs["mixed_input"]), theirs["mixed_target"]
    write(checkout, "dividemix", mixed=mixed, mixed_labels=labels)


if __name__ == "__main__":
    for make in (
        mixup, manifold, imix, localmixup, regmixup, mixupe, decoupled, mixmatch, dividemix
    ):  # fmt: skip
        make(sys.argv[1])
