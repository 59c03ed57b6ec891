"""Run the code of ζ-mixup, anchor data augmentation, similarity kernel mixup, LISA and MentorMix.

    python -m tests.library.parity.make_weights PATH_OF_CHECKOUTS

It needs PyTorch, SciPy and scikit-learn. Their functions run on small inputs; what NumPy drew and
what came out goes to NAME.npz next to this.
"""

import sys
from types import SimpleNamespace
from typing import Optional, Union

import numpy as np

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.stand_ins import Linear, last, save, tensors


def zetamixup(root):
    import torch

    checkout = Checkout(root, "kakumarabhishek/zeta-mixup")
    numpy = {"np": np, "fft": np.fft.fft, "ifft": np.fft.ifft, "torch": torch}
    weigh = checkout.names("utils.py", "zeta_mixup_weights", **numpy)["zeta_mixup_weights"]
    mix = checkout.names("zeta_mixup.py", "zeta_mixup", zeta_mixup_weights=weigh, torch=torch)
    generator = np.random.default_rng(0)
    x = generator.random((6, 3, 4, 5), np.float32)
    y = np.array([0, 2, 1, 1, 3, 0])
    np.random.seed(1)  # noqa: NPY002 (their generator)
    weights = weigh(6, 2.8)
    np.random.seed(1)  # noqa: NPY002 (their generator)
    mixed, labels = mix["zeta_mixup"](torch.from_numpy(x), torch.from_numpy(y), 4, gamma=2.8)
    save(
        checkout,
        "zetamixup",
        "zeta_mixup.py zeta_mixup, gamma = 2.8",
        **{"x": x, "y": y, "weights": weights, "mixed": mixed, "labels": labels},
    )


def anchor(root):
    import math

    import torch
    from sklearn.cluster import KMeans

    checkout = Checkout(root, "NoraSchneider/anchordataaugmentation")
    pandas = SimpleNamespace(DataFrame=type(None))  # asked for by isinstance alone
    names = {"np": np, "pd": pandas, "torch": torch, "math": math}
    names |= {"Dict": dict, "List": list, "Optional": Optional, "Union": Union}
    ada = checkout.names("ada/ada.py", "ADA", **names)["ADA"]
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(12, 2, 3)), generator.normal(size=12)
    rows = np.column_stack([x.reshape(12, -1), y])
    clusters = KMeans(3, random_state=0).fit(rows).predict(rows)  # theirs, but for the encoder
    gammas = [0.25, 1.0, 2.0, 9.0]
    moved = ada(x, y, anchor=np.eye(3)[clusters]).augment(gamma=gammas, return_list=True)
    save(
        checkout,
        "anchor",
        "ada/ada.py ADA of one-hot clusters",
        **{"x": x, "y": y, "clusters": clusters, "gammas": gammas},
        mixed=np.stack([x for x, _ in moved]),
        targets=np.stack([y[:, 0] for _, y in moved]),
    )


def simkernel(root):
    import scipy
    import torch
    import torch.nn.functional as F

    checkout = Checkout(root, "qbouniot/sim_kernel_mixup")
    path = "classification/torch_uncertainty/transforms/mixup.py"
    wanted = ("beta_warping", "sim_gauss_kernel", "AbstractMixup", "KernelMixup")
    libraries = {"np": np, "scipy": scipy, "torch": torch, "F": F, "Tensor": torch.Tensor}
    names = checkout.names(path, *wanted, **libraries)
    generator = np.random.default_rng(3)
    x = generator.random((8, 4, 4, 3), np.float32)
    feats = generator.normal(size=(8, 5)).astype(np.float32)
    y = np.array([0, 2, 1, 1, 3, 0, 2, 3])
    saved = {"x": x, "feats": feats, "y": y, "tau_max": [1.0, 0.1, 5.0], "tau_std": [0.5, 1.25, 1]}
    saved |= {"lam": [], "index": [], "mixed": [], "labels": [], "tau": []}
    for peak, width in zip(saved["tau_max"], saved["tau_std"], strict=True):
        theirs = names["KernelMixup"](
            1.0, "elem", 4, warping="beta_cdf", tau_max=peak, tau_std=width
        )
        lam, index = generator.beta(1, 1, 8), generator.permutation(8)
        drawn = lam, torch.from_numpy(index)
        theirs._get_params = lambda *_, drawn=drawn: drawn
        mixed, labels = theirs(*map(torch.from_numpy, (x, y, feats)))
        distance = ((feats - feats[index]) ** 2).sum(1)
        tau = names["sim_gauss_kernel"](distance / distance.mean(), peak, width, inverse_cdf=True)
        for name, value in zip(
            ("lam", "index", "mixed", "labels", "tau"),
            (lam, index, mixed, labels, tau),
            strict=True,
        ):
            saved[name].append(np.asarray(value))
    save(checkout, "simkernel", f"{path} KernelMixup, warping = beta_cdf, mode = elem", **saved)


def lisa(root):
    """Four groups of three: two labels, each in two domains, as their loaders give them."""
    import torch

    checkout = Checkout(root, "huaxiuyao/LISA")
    path = "subpopulation_shifts/train.py"
    names = checkout.names(path, "mix_up", "mix_forward", np=np, torch=torch)
    generator = np.random.default_rng(4)
    x = generator.random((4, 3, 2, 5, 5), np.float32)
    hot = np.eye(2, dtype=np.float32)[np.array([0, 0, 1, 1])].repeat(3, 0).reshape(4, 3, 2)
    saved = {"x": x, "y": hot}
    for name, ratio in (("label", 1.0), ("domain", 0.0)):  # the probability of "label"
        args = SimpleNamespace(mix_ratio=ratio, cut_mix=False, mix_alpha=2.0)
        drawn, beta = [], np.random.beta
        np.random.beta = lambda *of, beta=beta, drawn=drawn: drawn.append(beta(*of)) or drawn[-1]
        given = torch.from_numpy(x), None, None, torch.from_numpy(hot)
        mixed, *_, labels = names["mix_forward"](args, 4, *given, lambda x: x)
        np.random.beta = beta
        saved |= {f"{name}_mixed": mixed, f"{name}_labels": labels, f"{name}_lam": drawn}
    save(checkout, "lisa", f"{path} mix_forward, mix_ratio = 1 and 0", **saved)


def mentormix(root):
    """By a port of it to PyTorch: what their two networks would say of each example is given."""
    import torch
    import torch.nn.functional as F
    from torch.distributions import categorical, dirichlet

    checkout, seen = Checkout(root, "LJY-HY/MentorMix_pytorch"), {}

    def spy(kind, name, read):
        class Spied(kind):
            def sample(self, shape):
                drawn = super().sample(shape)
                seen.update({name: drawn, **read(self)})
                return drawn

        return Spied

    chosen = spy(categorical.Categorical, "index", lambda of: {"chances": of.probs})
    names = checkout.names(
        "utils/MentorMixLoss.py", "MentorMixLoss", torch=torch, F=F,
        cat=SimpleNamespace(Categorical=chosen),
        diri=SimpleNamespace(Dirichlet=spy(dirichlet.Dirichlet, "drawn", lambda _: {})),
    )  # fmt: skip
    generator = np.random.default_rng(6)
    x, y = generator.random((8, 3, 2, 5), np.float32), generator.integers(0, 4, 8)
    weight = generator.normal(size=(3, 4)).astype(np.float32)
    trust, after = np.float32([[1, 0, 1, 1, 0, 0, 1, 1], [1, 1, 0, 1, 0, 1, 0, 1]])
    said = iter(tensors(trust, after))
    student = Linear(weight)
    args = SimpleNamespace(device="cpu", ema=0.9, gamma_p=0.7, epoch=10, alpha=2.0)
    torch.manual_seed(3)
    loss = names["MentorMixLoss"](
        args, lambda *_: next(said), student, *tensors(x, y, trust), 0.0, 0.0, 5
    )[0]
    saved = {"x": last(x), "y": y, "weight": weight, "trust": trust, "after": after}
    saved |= {"mixed": last(student.inputs[1]), "loss": loss.detach(), **seen}
    save(checkout, "mentormix", "utils/MentorMixLoss.py MentorMixLoss", **saved)


if __name__ == "__main__":
    for make in (zetamixup, anchor, simkernel, lisa, mentormix):
        make(sys.argv[1])
