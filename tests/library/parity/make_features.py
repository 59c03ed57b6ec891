"""Run the authors' code that mixes hidden features, or at test time, on the inputs that are there.

    python -m tests.library.parity.make_features PATH_OF_CHECKOUTS

It needs PyTorch.
"""

import ast
import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.cases import Case
from tests.library.parity.stand_ins import (
    TORCH,
    Given,
    decimals,
    first,
    last,
    nothing,
    numpy,
    tensors,
    torch_with,
    write,
)


def mixstyle(root):
    checkout, case = Checkout(root, "KaiyangZhou/mixstyle-release"), Case("mixstyle")
    x, index, lam = tensors(first(case.x), case.index, case.lam)
    names = checkout.names(
        "reid/models/mixstyle.py", "MixStyle",
        nn=nn, torch=torch_with(randperm=lambda _: index), random=Given(0.0),
    )  # fmt: skip
    module = names["MixStyle"]()
    module.beta = SimpleNamespace(sample=lam.reshape)
    write(checkout, "mixstyle", mixed=last(module(x)))


def moex(root):
    checkout, case = Checkout(root, "Boyiliee/MoEx"), Case("moex")
    mix = checkout.names("ImageNet/moex_resnet.py", "moex", **TORCH)["moex"]
    x, index = tensors(first(case.x), case.index)
    norms = {"pono": "pono", "instance": "in", "layer": "ln"}
    write(checkout, "moex", **{name: last(mix(x, index, norm)) for name, norm in norms.items()})


def nfm(root):
    checkout, case = Checkout(root, "erichson/NFM"), Case("nfm")
    x, index, normal, uniform = tensors(
        first(case.x), case.index, first(case.normal), first(case.uniform)
    )
    drawn = SimpleNamespace(normal_=lambda: normal, uniform_=lambda: uniform)
    cuda = SimpleNamespace(device=contextlib.nullcontext, FloatTensor=lambda _: drawn)
    names = checkout.names(
        "src/noisy_mixup.py", "do_noisy_mixup", "_noise",
        np=numpy(*decimals([case.lam, case.beta_add, case.beta_mult])),
        torch=torch_with(randperm=lambda _: index, cuda=cuda),
    )  # fmt: skip
    levels = decimals([case.level_add, case.level_mult])
    mixed, *_ = names["do_noisy_mixup"](x, index, 1.0, *levels)
    write(checkout, "nfm", mixed=last(mixed))


def mixupinference(root):
    """All of their script runs but its imports, once for each example, which is its test set.

    Its ten samples are alike here, as each draws the same of the pool, and so is their mean.
    """
    checkout, case = Checkout(root, "P2333/Mixup-Inference"), Case("mixupinference")
    path, found = "attack_resnet_mixuptest_PL.py", []
    theirs = ast.parse(checkout._git("show", f"HEAD:{path}"))
    theirs.body = [x for x in theirs.body if not isinstance(x, ast.Import | ast.ImportFrom)]
    network = nn.Sequential(nn.ReLU(), nn.Linear(5, 3, bias=False))
    network[1].weight.data = torch.from_numpy(case.w.T)
    batches = lambda x, y: [tensors(a[None], b[None]) for a, b in zip(x, np.eye(3)[y], strict=True)]
    for x, pick in zip(case.x, case.pick, strict=True):
        guess = [network(torch.from_numpy(x)).argmax()]  # a label that it agrees with
        names = stand_ins(batches(case.pool, case.labels), batches(x[None], guess), network, pick)
        exec(compile(theirs, path, "exec"), names)
        found.append(names["pred_cle_mixup_all"][0])
    write(checkout, "mixupinference", probability=np.stack(found))


def stand_ins(pool, given, network, pick):
    """What their script imports: data, a network, an attack that changes nothing, settings."""
    loaded = Given(pool, given)
    FLAGS = SimpleNamespace(
        data="cifar10", model="", oldmodel="", adaptive=False, targeted=False,
        lamda=0.5, eps=8.0, nbiter=1,
    )  # fmt: skip
    flags = SimpleNamespace(DEFINE_argument=nothing, DEFINE_boolean=nothing, FLAGS=FLAGS)
    transforms = SimpleNamespace(cifar_transform=lambda: (None, None))
    pgd = SimpleNamespace(projected_gradient_descent=lambda _, x, **__: x)
    data = SimpleNamespace(DataLoader=loaded.loader)
    return {
        "torch": torch_with(
            device=lambda _: "cpu",
            load=lambda _: network.state_dict(),
            utils=SimpleNamespace(data=data),
        ),
        "nn": nn,
        "np": numpy(*[pick] * 20),  # ten each for the image and for the attacked image
        "torchvision": SimpleNamespace(datasets=SimpleNamespace(CIFAR10=nothing)),
        "Torture": SimpleNamespace(Models=SimpleNamespace(transforms=transforms)),
        "MI": SimpleNamespace(pgd=pgd),
        "resnet": SimpleNamespace(model_dict={"": lambda **_: network}),
        "save_context": lambda *_: (SimpleNamespace(info=nothing), None, None),
        "flags": flags,
        "print": nothing,
        "__file__": "",
    }


if __name__ == "__main__":
    for make in (mixstyle, moex, nfm, mixupinference):
        make(sys.argv[1])
