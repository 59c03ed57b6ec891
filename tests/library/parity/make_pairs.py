"""Run the authors' code of methods that pair or weigh the rows in their own way.

    python -m tests.library.parity.make_pairs PATH_OF_CHECKOUTS

It needs PyTorch and scikit-learn.
"""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.neighbors import KernelDensity

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.cases import Case
from tests.library.parity.stand_ins import (
    OPTIMIZER,
    TORCH,
    Given,
    Linear,
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


def balancedmixup(root):
    checkout, case = Checkout(root, "agaldran/balanced_mixup"), Case("balancedmixup")
    bar = contextlib.nullcontext(SimpleNamespace(set_postfix=nothing, update=nothing))
    names = checkout.names(
        "train_lt_mxp.py", "run_one_epoch", "cross_entropy_loss", "get_lr",
        **TORCH, np=numpy(*decimals(case.lam)), trange=lambda _: bar,
    )  # fmt: skip
    labels, loss = [], names["cross_entropy_loss"]
    names["cross_entropy_loss"] = lambda logits, y: labels.append(y) or loss(logits, y)
    model = Linear(np.ones((2, 3), np.float32))
    model.n_classes = 3
    batch = tensors(first(case.x), np.int64(case.y))
    balanced = tensors(first(case.balanced), np.int64(case.balanced_y))
    names["run_one_epoch"]([(batch, balanced)], model, None, 1.0, OPTIMIZER)
    write(checkout, "balancedmixup", mixed=last(model.inputs[0]), labels=labels[0])


def bc_plus(root):
    """The images of the file are what their preprocessing gives, rounded to float32."""
    checkout, case = Checkout(root, "mil-tokyo/bc_learning_image"), Case("bc_plus")
    chainer = SimpleNamespace(dataset=SimpleNamespace(DatasetMixin=object))
    found = {"mixed": [], "label": []}
    unit = 64 * 192  # multiples of 1 / 64, less the mean of 192 of them
    images = first(np.round(np.float64(case.x) * unit) / unit)
    data = SimpleNamespace(mix=True, base=[(images[0], 0), (images[1], 2)])
    data.opt, data.preprocess = SimpleNamespace(plus=True, nClasses=3), lambda image: image
    for r in decimals(case.r):
        names = checkout.names(
            "dataset.py", "ImageDataset", chainer=chainer, np=np, random=Given(0, 1, r)
        )
        mixed, label = names["ImageDataset"].get_example(data, 0)
        found["mixed"].append(np.moveaxis(mixed, 0, -1))
        found["label"].append(label)
    write(checkout, "bc_plus", **found)


def bc_sound(root):
    """Their A-weighting asks for 2,048 samples, so the file has every 64th of these two sounds."""
    checkout, case = Checkout(root, "mil-tokyo/bc_learning_sound"), Case("bc_sound")
    names = checkout.names("utils.py", "a_weight", "compute_gain", "mix", np=np, xrange=range)
    rate = 16_000
    wave = lambda hertz: np.sin(2 * np.pi * hertz * seconds)
    seconds = np.arange(64 * case.x.shape[1]) / rate
    sounds = 0.3 * wave(440) * np.exp(-seconds), 0.05 * np.sign(wave(97))
    gain = [names["compute_gain"](sound, rate).max() for sound in sounds]
    mixed = [names["mix"](*sounds, r, rate)[::64] for r in decimals(case.r)]
    write(checkout, "bc_sound", x=np.stack(sounds)[:, ::64], gain_db=gain, mixed=mixed)


def cmixup(root):
    checkout, case = Checkout(root, "huaxiuyao/C-Mixup"), Case("cmixup")
    names = checkout.names(
        "src/algorithm.py", "get_mixup_sample_rate", np=np, torch=torch, KernelDensity=KernelDensity
    )
    args = SimpleNamespace(mixtype="kde", kde_type="gaussian", show_process=False)
    data, found = {"x_train": None, "y_train": case.targets}, []
    for args.kde_bandwidth in decimals(case.bandwidth):
        found.append(names["get_mixup_sample_rate"](args, data))
    write(checkout, "cmixup", probability=found)


def imbalanced(root, name, lams, *wanted, **settings):
    """The data function of Remix or MAMix, with these numbers for λ."""
    checkout, case = Checkout(root, "ntucllab/imbalanced-DL"), Case(name)
    args = SimpleNamespace(cls_num_list=case.counts, gpu=None, **settings)
    found, index = {"mixed": [], "lam_y": []}, torch.from_numpy(case.index)
    for lam in decimals(lams):
        names = checkout.names(
            f"imbalanceddl/strategy/_{name}_drw.py", f"{name}_data", *wanted, np=numpy(lam),
            torch=torch_with(randperm=lambda _: index),
        )  # fmt: skip
        mixed, *_, lam_y = names[f"{name}_data"](*tensors(case.x, case.y), args)
        found["mixed"].append(mixed)
        found["lam_y"].append(lam_y)
    write(checkout, name, **found)


def remix(root):
    imbalanced(root, "remix", Case("remix").lam, k_majority=3, tau=0.5)


def mamix(root):
    of_labels = "get_k", "get_lambda"
    imbalanced(root, "mamix", Case("mamix").partner_share, *of_labels, mamix_ratio=-0.25)


def mwh(root):
    """The fraction of ten batches that their train mixes, whose coins are 0.05, 0.15, to 0.95."""
    checkout, batches = Checkout(root, "yuhao318/mwh"), 10
    mixed = []

    def mix(x, y, *_):
        mixed.append(x)
        return x, y, y, 1.0

    names = checkout.names(
        "easy_mwh.py", "train", torch=torch, net=Linear(np.ones((3, 2), np.float32)),
        trainloader=[tensors(np.zeros((2, 3, 1, 1), np.float32), np.zeros(2, int))] * batches,
        mixup_data=mix, mixup_criterion=lambda y, *_: lambda loss, logits: loss(logits, y),
        criterion=torch.nn.CrossEntropyLoss(), Variable=lambda x: x, optimizer=OPTIMIZER,
        args=SimpleNamespace(alpha=0.5), use_cuda=False, progress_bar=nothing, print=nothing,
    )  # fmt: skip
    found = []
    for epoch in range(100):
        mixed.clear()
        names["random"] = Given(*(np.arange(batches) + 0.5) / batches)
        names["train"](epoch)
        found.append(len(mixed) / batches)
    write(checkout, "mwh", probability=found)


def mixreg_weights(model, case):
    """What their train feeds for the three placeholders of the policy."""
    fed = {}
    policy = SimpleNamespace(X="X", coeff="coeff", indices="indices", other_indices="other")
    self = SimpleNamespace(train_model=policy, mix_mode="mixreg", mix_alpha=0.2)
    self.stats_list, self._train_op = [], None
    for name in ("A", "ADV", "R", "LR", "CLIPRANGE", "OLDNEGLOGPAC", "OLDVPRED"):
        setattr(self, name, name)
    self.sess = SimpleNamespace(run=lambda _, numbers: fed.update(numbers) or [])
    model.train(self, 0, 0, case.observations, case.r, None, case.a, case.oldvpred, None)
    return [fed[name] for name in ("coeff", "indices", "other")]


def mixreg(root):
    """Their graph is built of NumPy arrays, in place of placeholders, up to the loss.

    It is in float64, as the file was. In float32, as in TensorFlow, two bytes differ by one.
    """
    checkout, case = Checkout(root, "kaixin96/mixreg"), Case("mixreg")
    tf = SimpleNamespace(
        variable_scope=lambda *_, **__: contextlib.nullcontext(), AUTO_REUSE=None, gather=np.take,
        cast=np.ndarray.astype, reshape=np.reshape, reduce_mean=stop,
        float32=np.float32, int32=np.int32, uint8=np.uint8,
    )  # fmt: skip
    names = checkout.names(
        "train_procgen/model.py", "MixregModel",
        tf=tf, get_session=nothing, MPI=None,
        np=numpy(np.array(decimals(case.drawn)), case.permutation),
    )  # fmt: skip
    model, seen = names["MixregModel"], []
    actions = SimpleNamespace(sample_placeholder=lambda _: case.a)
    build = checkout.names(
        "train_procgen/policy.py", "build_policy",
        tf=tf, observation_placeholder=lambda *_, **__: case.observations,
        encode_observation=lambda _, x: seen.append(x) or x,
        PolicyWithValue=lambda **tensors: SimpleNamespace(pdtype=actions, **tensors),
    )["build_policy"]  # fmt: skip
    policy = build(SimpleNamespace(observation_space=None), lambda x: x)
    fed = mixreg_weights(model, case)
    placeholders = Given(*fed, case.adv, case.r, case.oldneglogpac, case.oldvpred, None, None)
    tf.placeholder = placeholders.placeholder
    spaces = dict.fromkeys(("ob_space", "ac_space", "ent_coef", "vf_coef", "max_grad_norm"))
    sizes = dict.fromkeys(("nbatch_act", "nbatch_train", "nsteps"), len(case.a))
    try:
        model(policy=policy, mix_mode="mixreg", **spaces, **sizes)
    except Mixed as mixed:
        theirs = mixed.args[0]
    found = {f"mixed_{name}": theirs[name.upper()] for name in ("oldneglogpac", "oldvpred", "r")}
    found |= {"mixed_adv": theirs["ADV"], "mixed_a": theirs["A"], "mixed_observations": seen[-1]}
    write(checkout, "mixreg", **found)


if __name__ == "__main__":
    for make in (balancedmixup, bc_plus, bc_sound, cmixup, remix, mamix, mwh, mixreg):
        make(sys.argv[1])
