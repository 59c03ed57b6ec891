"""Run others' SpliceMix, m²-mixup, MoCHi and Metrix on small inputs, and keep what they give.

    python -m tests.library.parity.make_embeddings PATH_OF_CHECKOUTS

It needs PyTorch, and make_grid of torchvision. Their functions are taken out of their files; what
these drew and gave goes to NAME.npz next to this.
"""

import ast
import importlib.util
import itertools
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.stand_ins import numpy_with, save

torch.Tensor.to = lambda self, *_, **__: self  # there may be no GPU


def grids():
    """The file of torchvision that has make_grid, without its compiled operations."""
    path = Path(torch.__file__).parents[1] / "torchvision/utils.py"
    spec = importlib.util.spec_from_file_location("grids", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def splicemix(root):
    """As it is, and with positions in the middle of each pixel, as ours are."""
    checkout = Checkout(root, "zuiran/SpliceMix")
    rng, cases = np.random.default_rng(0), {}
    x = rng.random((12, 12, 18, 2)).astype(np.float32)
    odd = rng.random((12, 11, 17, 2)).astype(np.float32)  # sizes that no grid divides
    y = (rng.random((12, 5)) < 0.3).astype(np.float32)
    for k, (grid, images) in enumerate(
        [("2x2", x), ("1x2-1", x), ("2x3-2", x), ("2x2-3", odd), ("2x3", odd)]
    ):
        for corners in (False, True):
            resize = lambda x, size, c=corners, **_: F.interpolate(
                x, size, mode="bilinear", align_corners=c
            )
            theirs = checkout.names(
                "SpliceMix.py",
                "SpliceMix",
                np=np,
                torch=torch,
                random=random,
                F=SimpleNamespace(interpolate=resize),
                torchvision=SimpleNamespace(utils=grids()),
            )["SpliceMix"](grids=[grid], n_grids=[2])
            random.seed(k)
            np.random.seed(k)  # noqa: NPY002 (theirs draws by it)
            given = torch.from_numpy(images.transpose(0, 3, 1, 2)), torch.from_numpy(y)
            out, labels, flag = theirs.mixer(*given)
            found = flag["mix_dict"]
            name = "corners" if corners else "mixed"
            cases[f"{name}_{k}"] = out[12:].numpy().transpose(0, 2, 3, 1)
            cases[f"grid_{k}"] = found["rows"][0], found["cols"][0]
            cases[f"index_{k}"], cases[f"labels_{k}"] = found["rand_inds"][0], labels[12:]
            cases[f"black_{k}"] = found["drop_inds"][0].reshape(2, -1)
    what = "SpliceMix.py Smix; align_corners as it is, and False in its place"
    save(checkout, "splicemix", what, x=x, odd=odd, y=y, **cases)


def m2mix(root):
    """The four losses that do_train adds, whose statements are taken out of it."""
    checkout = Checkout(root, "changdaeoh/multimodal-mixup")
    wanted = "cross_entropy", "clip_loss", "clip_loss2", "calc_mix_loss"
    losses = checkout.names("loss.py", *wanted, torch=torch, nn=nn)
    spherical = checkout.names("main.py", "sph_inter", torch=torch)["sph_inter"]
    tree = ast.parse(checkout._git("show", "HEAD:main.py"))
    blocks = {
        node.test.attr: node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "attr", "").endswith("mix")
    }
    rng = np.random.default_rng(1)
    unit = lambda z: torch.from_numpy((z / np.linalg.norm(z, axis=1, keepdims=True)).astype("f4"))
    pictures, texts = (unit(rng.normal(size=(6, 4))) for _ in range(2))
    lam, found = np.array([0.25, 0.625]), {}  # numbers of half precision
    identity = torch.eye(6)
    for name in ("vmix", "lmix", "vlmix", "mmmix"):
        for value in lam:
            args = dict(betavariate=1, beta1=1, beta2=1, original_neg=False, divt=1, sep_scale=True)
            names = {
                **losses,
                **{"args": SimpleNamespace(**args, **{name: 1.0}), "sph_inter": spherical},
                **{"torch": torch, "random": SimpleNamespace(betavariate=lambda *_, v=value: v)},
                **{"image_features": pictures, "text_features": texts, "captions": range(6)},
                **{"I": identity, "I_R": torch.flip(identity, [0]), "I_D": 1 - identity},
                **{"logits_per_image": pictures @ texts.T, "logits_per_text": texts @ pictures.T},
                **{"temperature1": 1 / 0.01, "temperature2": 1 / 0.07, "loss_mix": 0.0},
                "device": "cpu",
            }
            exec(compile(ast.Module([blocks[name]], []), "main.py", "exec"), names)
            found.setdefault(name, []).append(names["loss_mix"].numpy())
            for mixed in ("pos1", "neg1"):
                if mixed in names:
                    found.setdefault(f"{name}_{mixed}", []).append(names[mixed].numpy())
    what = "main.py sph_inter, do_train, loss.py calc_mix_loss, clip_loss2; taus 0.01 and 0.07"
    arrays = {key: np.stack(value) for key, value in found.items()}
    save(checkout, "m2mix", what, pictures=pictures, texts=texts, lam=lam, **arrays)


def mochi(root):
    """Both kinds of MoCHi, as SynCo, its successor, has them."""
    checkout = Checkout(root, "giakoumoglou/synco")
    theirs = checkout.names("synco/builder.py", "SynCo", torch=torch, nn=nn)["SynCo"]
    rng = np.random.default_rng(2)
    unit = lambda z: torch.from_numpy((z / np.linalg.norm(z, axis=1, keepdims=True)).astype("f4"))
    q, bank = unit(rng.normal(size=(4, 6))), unit(rng.normal(size=(20, 6)))
    own = SimpleNamespace(queue=bank, n_hard=7, n1=3, n3=5, hard_alpha=0.5, hard_gamma=1)
    torch.manual_seed(0)
    hard = theirs.find_hard_negatives(own, q @ bank.T)
    drawn = {"randint": [], "rand": []}
    spied = {name: getattr(torch, name) for name in drawn}
    for name, function in spied.items():
        spy = lambda *a, f=function, n=name, **o: drawn[n].append(f(*a, **o)) or drawn[n][-1]
        setattr(torch, name, spy)
    pairs = theirs.hard_negatives_mixup(own, q, hard)
    with_query = theirs.hard_negatives_interpolation(own, q, hard)
    for name, function in spied.items():
        setattr(torch, name, function)
    picked = [hard.gather(1, i) for i in (*drawn["randint"][0], drawn["randint"][1])]
    save(
        checkout,
        "mochi",
        "synco/builder.py hard_negatives_mixup, hard_negatives_interpolation: MoCHi's two types",
        **{"q": q, "bank": bank, "pairs": pairs, "with_query": with_query},
        **{"first": picked[0], "second": picked[1], "third": picked[2]},
        **{"gamma": drawn["rand"][0][..., 0], "alpha": drawn["rand"][1][..., 0]},
    )


def metrix(root):
    """Their embedding level, with all pairs of a batch and distances of normalised embeddings."""
    checkout = Checkout(root, "billpsomas/Metrix_ICLR22")
    numpy = numpy_with(np.random.RandomState(0))
    wanted = "mixup_data", "embed_posneg_pair_mixup_for_pos_anchor"
    wanted = *wanted, "embed_neg_pair_mixup_without_posanchor"
    names = checkout.names("mixup/utils.py", *wanted, np=numpy, torch=torch, itertools=itertools)
    miner = SimpleNamespace(pos_pairs_from_tuple=lambda t: t[:2], neg_pairs_from_tuple=lambda t: t)
    losses = checkout.names(
        "mixup/losses.py", "margin", "loss_posneg_mixup", torch=torch, lmu=miner
    )["loss_posneg_mixup"]
    z = torch.from_numpy(np.random.default_rng(3).normal(size=(7, 4)).astype(np.float32))
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 3])  # the last two have no positive
    same = labels[:, None] == labels
    a1, pos = torch.where(same & ~torch.eye(7, dtype=bool))
    a2, neg = torch.where(~same)
    unit = lambda x: F.normalize(x, dim=1)
    distance = lambda x, y: torch.cdist(unit(x), unit(y))
    found = {}
    for name, out in (
        ("posneg", names[wanted[1]](a1, pos, a2, neg, z, None, labels, distance)),
        ("neg", names[wanted[2]](a1, a2, neg, z, None, labels, distance)),
    ):
        similarity, _, _, anchor, *others, lam = out
        both = losses(similarity, others[0], anchor, others[-1], lam)
        positive, negative = (next(iter(part.values()))["losses"] for part in both)
        own = others[0] if len(others) == 2 else anchor
        found |= {f"{name}_anchor": anchor, f"{name}_own": own, f"{name}_other": others[-1]}
        found |= {f"{name}_lam": lam, f"{name}_positive": positive, f"{name}_negative": negative}
    what = "mixup/utils.py embed_*_pair_mixup_*, mixup/losses.py loss_posneg_mixup"
    save(checkout, "metrix", what, z=z, labels=labels, **found)


if __name__ == "__main__":
    for make in (splicemix, m2mix, mochi, metrix):
        make(sys.argv[1])
