"""Run the authors' code of RankMixup, SUMix, MixupMP, PixMix and AugMix.

    python -m tests.library.parity.make_robustness PATH_OF_CHECKOUTS

It needs PyTorch and Pillow. Their functions run on small inputs; what NumPy drew and what came out
goes to NAME.npz next to this.
"""

import ast
import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.stand_ins import save, torch_with

TORCH = {"torch": torch, "nn": torch.nn, "F": functional, "np": np}


def numbers(seed):
    rng = np.random.default_rng(seed)
    return lambda *shape: (2 * rng.normal(size=shape)).astype(np.float32)


@contextlib.contextmanager
def recorded(*names):
    """Within it, what these functions of np.random return, in order."""
    own, seen = {name: getattr(np.random, name) for name in names}, []

    def spy(function):
        def call(*args):
            seen.append(function(*args))
            return seen[-1]

        return call

    for name, function in own.items():
        setattr(np.random, name, spy(function))
    try:
        yield seen
    finally:
        for name, function in own.items():
            setattr(np.random, name, function)


class Module(torch.nn.Module):
    """The base class of their heads."""

    def __init__(self, init_cfg):
        super().__init__()


def rankmixup(root):
    """Logits of one mix and of three; two pairs of the first are of one class."""
    checkout = Checkout(root, "cvlab-yonsei/RankMixup")
    path = "calibrate/losses/rankmixup.py"
    names = checkout.names(path, "RankMixup_MRL", "RankMixup_MNDCG", **TORCH)
    process = checkout.names(
        "calibrate/net/resnet_mixup.py", "mixup_process", "to_one_hot", **TORCH
    )
    draw, y = numbers(0), torch.tensor([0, 2, 1, 1, 3, 0, 2, 3])
    clean, mixed = torch.tensor(draw(8, 4)), torch.tensor(draw(24, 4))
    hot = process["to_one_hot"](y, 4)
    np.random.seed(7)  # noqa: NPY002 (their generator)
    made = [process["mixup_process"](hot, hot, 2.0) for _ in range(3)]
    soft, lam = torch.cat([soft for _, soft, _ in made]), [lam for *_, lam in made]
    alike = (soft.max(1).values[:8] == 1).sum()
    assert 0 < alike < 8, alike
    mrl = names["RankMixup_MRL"](margin=2.0)(clean, y, mixed[:8], soft[:8], lam[:1])
    apart = torch.tensor(np.tile(np.float32([0.7, 0.3, 0, 0]), (8, 1)))
    plain = names["RankMixup_MRL"](margin=2.0)(clean, y, mixed[:8], apart, lam[:1])
    ndcg = names["RankMixup_MNDCG"](num_classes=4)(clean, y, mixed, soft, lam)
    save(
        checkout,
        "rankmixup",
        f"{path} RankMixup_MRL, RankMixup_MNDCG",
        **{"clean": clean, "mixed": mixed.reshape(3, 8, 4), "soft": soft.reshape(3, 8, 4)},
        **{"mrl": mrl[2], "apart": apart, "mrl_apart": plain[2], "mndcg": ndcg[2]},
    )


def sumix_head(checkout, path):
    """Their head, whose weights are on the CPU, and their cross-entropy."""
    on_cpu = torch_with(ones=lambda shape, device: torch.ones(shape))
    names = checkout.names(
        path,
        "ClsUncertainMixupHead",
        **{**TORCH, "torch": on_cpu, "BaseModule": Module},
        HEADS=SimpleNamespace(register_module=lambda cls: cls),
        build_loss=lambda loss: None,
        accuracy=lambda *_: None,
        accuracy_mixup=lambda *_: None,
    )
    losses = "openmixup/models/losses/"
    libraries = checkout.names(f"{losses}utils.py", "weight_reduce_loss", **TORCH)
    libraries = {**TORCH, "weight_reduce_loss": libraries["weight_reduce_loss"]}
    criteria = checkout.names(f"{losses}cross_entropy_loss.py", "cross_entropy", **libraries)
    head = names["ClsUncertainMixupHead"](False, None, in_channels=3, num_classes=4, gama=0.5)
    return head, criteria["cross_entropy"]


class Weighed(torch.Tensor):
    """Losses that keep what they are multiplied with."""

    seen = ()

    def __mul__(self, weight):
        Weighed.seen += (weight,)
        return self.as_subclass(torch.Tensor) * weight


def sumix(root):
    """One λ for the batch; λ' is what they multiply the first losses with."""
    checkout = Checkout(root, "Westlake-AI/openmixup")
    path = "openmixup/models/heads/cls_mixup_head.py"
    head, cross_entropy = sumix_head(checkout, path)
    draw, index, y = numbers(1), [3, 0, 1, 2, 5, 4], torch.tensor([0, 2, 1, 1, 3, 0])
    clean, mixed, v, seen = (torch.tensor(draw(6, 4)) for _ in range(4))
    score = [(clean, head.l2_norm(head.sf(v))), (mixed, head.l2_norm(head.sf(seen)))]
    saved = {"lam": [0.3, 0.8], "weights": [], "losses": [], "total": []}
    for lam in saved["lam"]:
        called, Weighed.seen = [], ()

        def each(pred, ids, avg_factor, called=called):
            called.append(functional.cross_entropy(pred, ids, reduction="none"))
            return called[-1].as_subclass(Weighed)

        head.criterion = each
        head.IN_loss(score, (y, y[index], lam), index)
        saved["weights"].append(np.asarray(Weighed.seen[0]))
        saved["losses"].append(np.stack([np.asarray(loss) for loss in called]))
        head.criterion = cross_entropy
        saved["total"].append(float(head.IN_loss(score, (y, y[index], lam), index)["loss"]))
    logits = {"clean": clean, "mixed": mixed, "v": v, "seen": seen}
    save(
        checkout,
        "sumix",
        f"{path} ClsUncertainMixupHead IN_loss, gama = 0.5",
        **{**logits, "index": index, "y": y, **saved},
    )


def mixupmp(root):
    """Their whole step for one batch; the network is a matrix."""
    checkout = Checkout(root, "apple/ml-MixupMP")
    drawn, permuted = [], []

    class Beta(torch.distributions.Beta):
        def sample(self, shape):
            drawn.append(super().sample(shape))
            return drawn[-1].clone()

    def randperm(*args, **options):
        permuted.append(torch.randperm(*args, **options))
        return permuted[-1]

    wanted = "mixup_data", "mixup_criterion", "train"
    libraries = {"torch": torch_with(randperm=randperm), "np": np, "Beta": Beta, "__DATA_AUG__": {}}
    train = checkout.names("train.py", *wanted, **libraries)["train"]
    torch.manual_seed(0)
    draw, y = numbers(2), torch.tensor([0, 2, 1, 1, 3, 0, 2, 3])
    x, net = torch.tensor(draw(8, 5)), torch.nn.Linear(5, 4, bias=False)

    loader = type("Loader", (list,), {"dataset": x})([(x, y, torch.ones(8))])
    criterion = torch.nn.CrossEntropyLoss(reduction="none")
    saved = {"ratio": [1.0, 0.1], "loss": []}
    for ratio in saved["ratio"]:
        step = torch.optim.SGD(net.parameters(), lr=0.0)
        args = 0, loader, net, step, criterion, "cpu", "mpmixup"
        saved["loss"].append(train(*args, alpha=1.0, npl_weight=ratio, current_lr=0.0)[1])
    first, second = permuted[::2], permuted[1::2]  # which examples, and their partners among them
    save(
        checkout,
        "mixupmp",
        "train.py train, method = mpmixup",
        **{"x": x, "y": y, "matrix": net.weight.detach().T, "lam": torch.stack(drawn), **saved},
        **{"chosen": torch.stack(first), "index": torch.stack(second)},
    )


def pixmix(root):
    """With their operation autocontrast alone as the view, which draws nothing."""
    checkout = Checkout(root, "andyzoujm/pixmix")
    utils = checkout.names(
        "pixmix_utils.py", "autocontrast", "get_ab", "add", "multiply", "mixings", np=np,
        ImageOps=ImageOps,
    )  # fmt: skip
    single = SimpleNamespace(mixings=utils["mixings"], augmentations=[utils["autocontrast"]])
    args = SimpleNamespace(k=4, beta=3, all_ops=False, aug_severity=3)
    names = checkout.names("cifar.py", "pixmix", "augment_input", np=np, torch=torch, utils=single,
                           args=args)  # fmt: skip
    tensorize = lambda image: torch.tensor(np.asarray(image).astype(np.float32) / 255)
    process = {"tensorize": tensorize, "normalize": lambda x: x}
    rng = np.random.default_rng(4)
    images = rng.integers(60, 200, (24, 4, 4, 3), dtype=np.uint8)  # their contrast is not full
    fractals = rng.integers(0, 256, (24, 4, 4, 3), dtype=np.uint8)
    chosen = {"start": [], "rounds": [], "of_view": [], "is_sum": [], "gentle": [], "draws": []}
    mixed = []
    np.random.seed(0)  # noqa: NPY002 (their generator)
    for image, fractal in zip(images, fractals, strict=True):
        with recorded("random", "randint", "choice", "beta") as log:
            mixed.append(np.asarray(names["pixmix"](Image.fromarray(image), fractal, process)))
        # A choice of the one view says nothing.
        log = [value for value in log if value is not utils["autocontrast"]]
        chosen["start"].append(log.pop(0))
        chosen["rounds"].append(log.pop(0))
        rows = np.full((4, 5), 0.5)
        for row in rows[: chosen["rounds"][-1]]:
            row[:] = log[0], log[1] is utils["add"], *log[2:5]
            del log[:5]
        assert not log
        for name, column in zip(("of_view", "is_sum", "gentle"), rows.T, strict=False):
            chosen[name].append(column)
        chosen["draws"].append(rows[:, 3:])
    views = [np.asarray(utils["autocontrast"](Image.fromarray(image), None)) for image in images]
    save(
        checkout,
        "pixmix",
        "cifar.py pixmix, pixmix_utils.py add, multiply, autocontrast",
        **{"images": images, "fractals": fractals, "views": views, "mixed": mixed, **chosen},
    )


def augmix(root):
    """Chains of their own operations, and their loss, which is a part of their step."""
    checkout = Checkout(root, "google-research/augmix")
    path, drawn, views = "augmentations.py", [], []
    operations = ("autocontrast", "posterize", "solarize", "rotate")
    helpers = ("int_parameter", "float_parameter", "sample_level")
    ops = checkout.names(path, *helpers, *operations, np=np, Image=Image, ImageOps=ImageOps)
    chosen = SimpleNamespace(augmentations=[ops[name] for name in operations])
    names = checkout.names(
        "augment_and_mix.py", "MEAN", "STD", "normalize", "apply_op", "augment_and_mix", np=np,
        Image=Image, augmentations=chosen,
    )  # fmt: skip
    normalize = names["normalize"]
    names["normalize"] = lambda image: views.append(image) or normalize(image)
    images = np.random.default_rng(5).random((4, 6, 6, 3), np.float32)
    mixed = []
    np.random.seed(1)  # noqa: NPY002 (their generator)
    for image in images:
        with recorded("dirichlet", "beta") as seen:
            mixed.append(names["augment_and_mix"](image))
        drawn += seen
    views = np.array(views).reshape(4, 4, 6, 6, 3)  # three chains, then the image itself
    np.testing.assert_array_equal(views[:, 3], images)
    tree = ast.parse(checkout._git("show", "HEAD:cifar.py"))
    train = next(node for node in tree.body if getattr(node, "name", None) == "train")
    loss = [node for node in ast.walk(train) if isinstance(node, (ast.Assign, ast.AugAssign))]
    loss = [node for node in loss if {"p_clean", "p_mixture"} & {
        name.id for name in ast.walk(node) if isinstance(name, ast.Name)}]  # fmt: skip
    draw = numbers(6)
    logits = [torch.tensor(draw(7, 5)) for _ in range(3)]
    given = dict(zip(("logits_clean", "logits_aug1", "logits_aug2"), logits, strict=True))
    given |= {"loss": torch.zeros(()), **TORCH}
    exec(compile(ast.Module(loss, type_ignores=[]), "cifar.py", "exec"), given)
    save(
        checkout,
        "augmix",
        "augment_and_mix.py augment_and_mix; cifar.py train",
        **{"images": images, "views": views[:, :3], "mixed": mixed, "weights": drawn[::2]},
        **{"m": drawn[1::2], "mean": names["MEAN"], "std": names["STD"]},
        **{"logits": np.stack(logits), "loss": given["loss"]},
    )


if __name__ == "__main__":
    for make in (rankmixup, sumix, mixupmp, pixmix, augmix):
        make(sys.argv[1])
