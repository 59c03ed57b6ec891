"""Run the authors' code of FDA, FACT, EFDMix, HID-MIX, MixMAE, MixToken and MergeMix.

    python -m tests.library.parity.make_style PATH_OF_CHECKOUTS

It needs PyTorch, and of JAX nothing. Their functions and classes run on small inputs, with
stand-ins for layers that are not compared; what they drew and gave goes to NAME.npz next to this.
"""

import contextlib
import math
import random
import sys
from types import SimpleNamespace

import numpy as np

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.stand_ins import save


def fda(root):
    checkout = Checkout(root, "YanchaoYang/FDA")
    names = checkout.names(
        "utils/__init__.py", "FDA_source_to_target_np", "low_freq_mutate_np", np=np
    )
    generator = np.random.default_rng(0)
    saved = {"lows": [0.0, 0.1, 0.29, 0.5]}
    for name, size in (("even", (10, 16)), ("odd", (9, 7))):
        x, other = (255 * generator.random((2, 3, *size), np.float32) for _ in range(2))
        mixed = [
            [names["FDA_source_to_target_np"](*pair, L=low) for pair in zip(x, other, strict=True)]
            for low in saved["lows"]
        ]
        saved |= {f"{name}_x": x, f"{name}_other": other, f"{name}_mixed": mixed}
    save(checkout, "fda", "utils/__init__.py FDA_source_to_target_np", **saved)


def fact(root):
    checkout = Checkout(root, "MediaBrain-SJTU/FACT")
    whole = {"uint8": lambda x: x, "clip": lambda x, *_: x}  # their rounding down to bytes
    numpy = SimpleNamespace(**{name: getattr(np, name) for name in dir(np)} | whole)
    mix = checkout.names("data/data_utils.py", "colorful_spectrum_mix", np=numpy, sqrt=math.sqrt)
    generator = np.random.default_rng(1)
    x, other = (255 * generator.random((3, 12, 12, 3), np.float32) for _ in range(2))
    saved = {"x": x, "other": other, "ratios": [1.0, 0.2], "lam": [], "mixed": [], "swapped": []}
    for ratio in saved["ratios"]:
        np.random.seed(2)  # noqa: NPY002 (their generator)
        saved["lam"].append([np.random.uniform(0, 1.0) for _ in range(3)])  # noqa: NPY002
        np.random.seed(2)  # noqa: NPY002 (their generator)
        given = zip(x, other, strict=True)
        both = [mix["colorful_spectrum_mix"](*pair, alpha=1.0, ratio=ratio) for pair in given]
        saved["mixed"].append([first for first, _ in both])
        saved["swapped"].append([second for _, second in both])
    save(checkout, "fact", "data/data_utils.py colorful_spectrum_mix, without uint8", **saved)


class Whole(Checkout):
    """A file of theirs ends in a backslash, after which Python wants another line."""

    def _git(self, *command):
        return super()._git(*command).rstrip("\\\n")


def efdmix(root):
    import torch

    checkout = Whole(root, "YBZh/EFDM")
    path = "DomainGeneralization/reid/models/efdmix.py"
    theirs = checkout.names(path, "EFDMix", torch=torch, nn=torch.nn, random=random)["EFDMix"]
    generator = np.random.default_rng(2)
    x, weights = generator.normal(size=(2, 6, 3, 4, 5)).astype(np.float32)
    lam = generator.beta(0.1, 0.1, 6).astype(np.float32)
    module, index = theirs(p=1.0, mix="random").train(), []
    module.beta = SimpleNamespace(sample=lambda shape: torch.from_numpy(lam).reshape(shape))
    own = torch.randperm
    torch.randperm = lambda n: index.append(own(n)) or index[-1]
    torch.manual_seed(2)
    given = torch.from_numpy(x).requires_grad_()
    mixed = module(given)
    torch.randperm = own
    (mixed * torch.from_numpy(weights)).sum().backward()
    results = {"mixed": mixed.detach(), "gradient": given.grad, "index": index[0]}
    save(checkout, "efdmix", f"{path} EFDMix", x=x, weights=weights, lam=lam, **results)


def hidmix(root):
    import torch
    import torch.nn.functional as F

    checkout = Checkout(root, "pyg-team/pytorch-frame")
    path = "torch_frame/nn/models/excelformer.py"
    mix = checkout.names(path, "feature_mixup", torch=torch, F=F)["feature_mixup"]
    x = np.random.default_rng(3).normal(size=(6, 4, 5)).astype(np.float32)
    y = np.array([0, 2, 1, 1, 0, 2])
    drawn, own = {}, {name: getattr(torch, name) for name in ("rand", "randperm")}
    for name, draw in own.items():
        spy = lambda *of, name=name, draw=draw, **how: drawn.setdefault(name, draw(*of, **how))
        setattr(torch, name, spy)
    torch.manual_seed(4)
    given = torch.from_numpy(x), torch.from_numpy(y)
    mixed, labels = mix(*given, num_classes=3, beta=0.5, mixup_type="hidden")
    for name, draw in own.items():
        setattr(torch, name, draw)
    torch.manual_seed(4)
    lam = torch.distributions.Beta(torch.tensor(0.5), torch.tensor(0.5)).sample((6, 1))[:, 0]
    results = {"lam": lam, "index": drawn["randperm"], "u": drawn["rand"]}
    results |= {"mixed": mixed, "labels": labels}
    save(checkout, "hidmix", f"{path} feature_mixup, hidden", x=x, y=y, **results)


def mixmae(root):
    """Without the layers between the mix and the loss, and one window of attention by itself."""
    import torch

    checkout = Checkout(root, "Sense-X/MixMIM")
    layers = {"nn": torch.nn, "to_2tuple": lambda n: (n, n), "trunc_normal_": lambda *_, **__: None}
    names = checkout.names(
        "models_mixmim.py", "WindowAttention", "MixMIM", torch=torch, random=random, **layers
    )
    theirs, same = names["MixMIM"], torch.nn.Identity()
    patch = 2
    self = SimpleNamespace(encoder_stride=patch, norm_pix_loss=False, range_mask_ratio=0.0)
    self.layers, self.decoder_blocks, self.absolute_pos_embed, self.decoder_pos_embed = [], [], 0, 0
    self.pos_drop = self.norm = self.decoder_embed = self.decoder_norm = self.decoder_pred = same
    self.patchify = self.patch_embed = lambda images: theirs.patchify(self, images)
    generator = np.random.default_rng(5)
    token = generator.normal(size=(1, 1, 3 * patch**2)).astype(np.float32)
    self.mask_token = torch.from_numpy(token)
    x = torch.from_numpy(generator.random((4, 3, 8, 8), np.float32))
    torch.manual_seed(6)
    mask = theirs.random_masking(self, x, 0.5)[-1]
    mixed = theirs.forward_encoder(self, x, mask, mask, mask, mask)
    decoded = theirs.forward_decoder(self, mixed, mask)
    rebuilt = torch.from_numpy(generator.normal(size=tuple(decoded.shape)).astype(np.float32))
    loss = theirs.forward_loss(self, x, rebuilt, mask)
    attention = names["WindowAttention"](12, (4, 4), 1, qkv_bias=False)
    attention.qkv.weight.data = torch.eye(12).repeat(3, 1)
    attention.proj, attention.softmax = same, torch.nn.Softmax(dim=-1)
    attention.relative_position_bias_table.data.zero_()
    attended = attention(mixed, mask.repeat(4, 1, 1)).detach()
    results = {"mask": mask[0, :, 0], "mixed": mixed, "decoded": decoded, "rebuilt": rebuilt}
    results |= {"loss": loss, "attended": attended, "token": token[0, 0]}
    save(checkout, "mixmae", "models_mixmim.py MixMIM, WindowAttention", x=x, **results)


def mixtoken(root):
    """LV-ViT's forward pass with a sum over tokens for its blocks."""
    import torch

    checkout = Checkout(root, "zihangJiang/TokenLabeling")
    numpy = SimpleNamespace(**{name: getattr(np, name) for name in dir(np)} | {"int": int})
    names = {"np": numpy, "torch": torch, "nn": torch.nn}
    layers = "PatchEmbed4_2", "PatchEmbed4_2_128", "HybridEmbed", "PatchEmbedNaive"
    names |= dict.fromkeys(layers)
    theirs = checkout.names("tlt/models/lvvit.py", "LV_ViT", "rand_bbox", **names)["LV_ViT"]
    losses = checkout.names("tlt/loss/cross_entropy.py", "SoftTargetCrossEntropy",
                            "TokenLabelCrossEntropy", torch=torch, nn=torch.nn,
                            F=torch.nn.functional)  # fmt: skip
    same = torch.nn.Identity()
    self = SimpleNamespace(mix_token=True, training=True, return_dense=True, beta=1.0)
    self.head = self.aux_head = self.forward_embeddings = same
    self.forward_tokens = lambda x: torch.cat(
        [x.sum(1, keepdim=True), x + 0.1 * x.sum(1)[:, None]], 1
    )
    generator = np.random.default_rng(7)
    x = torch.from_numpy(generator.normal(size=(5, 4, 6, 6)).astype(np.float32))
    target = generator.dirichlet(np.ones(4), (5, 38)).astype(np.float32).transpose(0, 2, 1)
    saved = {"boxes": [], "cls": [], "tokens": [], "loss": []}
    for seed in range(3):
        np.random.seed(seed)  # noqa: NPY002 (their generator)
        out = theirs.forward(self, x)
        loss = losses["TokenLabelCrossEntropy"](classes=4)(out, torch.from_numpy(target))
        for name, value in zip(saved, (out[2], out[0], out[1], loss), strict=True):
            saved[name].append(np.asarray(value))
    what = "tlt/models/lvvit.py LV_ViT.forward; tlt/loss/cross_entropy.py TokenLabelCrossEntropy"
    save(checkout, "mixtoken", what, x=x, target=target, **saved)


def mergemix(root):
    import torch

    torch.Tensor.cuda = lambda self: self  # there may be no GPU
    checkout = Checkout(root, "Westlake-AI/openmixup")
    unmerge = checkout.names(
        "openmixup/models/utils/merge.py", "token_unmerge_from_map", torch=torch
    )["token_unmerge_from_map"]
    path, plain = "openmixup/models/classifiers/mergemix.py", lambda **_: lambda function: function
    libraries = {"torch": torch, "np": np, "F": torch.nn.functional, "math": math}
    libraries |= {"MODELS": SimpleNamespace(register_module=lambda cls: cls), "BaseModel": object}
    libraries |= {"auto_fp16": plain, "force_fp32": plain, "token_unmerge_from_map": unmerge}
    libraries |= {"contextmanager": contextlib.contextmanager}
    theirs = checkout.names(path, "MergeMix", **libraries)["MergeMix"]
    generator = np.random.default_rng(8)
    merged, (b, side, patch) = 12, (4, 4, 2)
    source = np.stack([generator.permutation(np.r_[:merged, generator.integers(0, merged, 4)])
                       for _ in range(b)])  # fmt: skip
    attention = generator.random((b, 2, merged, merged), np.float32)
    self = object.__new__(theirs)
    vars(self).update(attn_based="tome", source_tracking_mode="map", scale_factor=patch)
    vars(self).update(mask_leaked=False, debug=False, lam_margin=-1)
    whole = torch.from_numpy(np.pad(source, ((0, 0), (1, 0))))  # the class token comes first
    self.backbone = SimpleNamespace(_tome_info={"source_map": whole})
    x = torch.from_numpy(generator.random((b, 3, side * patch, side * patch), np.float32))
    saliency = np.take_along_axis(attention.sum(1)[:, :, 0], source, axis=1)
    falling = -np.sort(-saliency, axis=1)
    saved = {"lam": [], "mixed": [], "index": [], "share": []}
    torch.manual_seed(9)
    for kept in range(1, side**2):
        if (falling[:, kept - 1] == falling[:, kept]).any():
            continue  # a tie, which they break by chance
        results, share = self.ranking_mixup(x, (kept + 0.5) / side**2, torch.from_numpy(attention))
        for name, value in zip(
            saved, (kept / side**2, results["img_mix"], results["index"], share), strict=True
        ):
            saved[name].append(np.asarray(value))
    assert len(saved["lam"]) > 1
    what = f"{path} MergeMix.ranking_mixup, where no tie is cut"
    save(checkout, "mergemix", what, x=x, attention=attention, merged=source, **saved)


if __name__ == "__main__":
    for make in (fda, fact, efdmix, hidmix, mixmae, mixtoken, mergemix):
        make(sys.argv[1])
