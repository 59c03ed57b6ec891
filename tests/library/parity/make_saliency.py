"""Run the authors' code whose masks or labels follow saliency or attention, on what is there.

    python -m tests.library.parity.make_saliency PATH_OF_CHECKOUTS

It needs PyTorch, and gco-wrapper for puzzlemix alone.
"""

import contextlib
import copy
import math
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
    Meter,
    decimals,
    first,
    last,
    nothing,
    numpy,
    numpy_with,
    tensors,
    write,
)


def alignmix(root):
    """Their plan is what their sinkhorn returns to them; both of their mixes are made."""
    checkout, case = Checkout(root, "shashankvkt/AlignMixup_CVPR22"), Case("alignmix")
    kind = checkout.names("cifar10_100/utils/OT.py", "SinkhornDistance", **TORCH)
    (h,), calls, plans = tensors(first(case.h)), [], []

    class Sinkhorn(kind["SinkhornDistance"]):
        def M(self, *args):
            calls.append(args)
            return super().M(*args)

        def forward(self, *args):
            calls.clear()
            plans.append(super().forward(*args))
            return plans[-1]

    names = checkout.names(
        "cifar10_100/models/resnet18_classifier.py", "mixup_aligned", torch=torch,
        np=numpy(case.index, case.index), random=Given(0, 1), SinkhornDistance=Sinkhorn,
    )  # fmt: skip
    y, lam = torch.arange(4), *decimals(case.lam)
    own, partner = (last(names["mixup_aligned"](h, y, lam)[0]) for _ in range(2))
    steps = len(calls) // 2  # it asks for M twice in each, and once for the plan
    write(checkout, "alignmix", own=own, partner=partner, plan=plans[0], iterations=steps)


def classmix(root):
    """All of their main runs, for one step; what the teacher is sure of are the ids of the file."""
    checkout, case = Checkout(root, "WilhelmT/ClassMix"), Case("classmix")
    parts = "mix", "colorJitter", "gaussian_blur", "flip"
    mixing = SimpleNamespace(**checkout.names("utils/transformsgpu.py", *parts, torch=torch))
    mixing.mix = lambda mask, mix=mixing.mix, **pair: masks.append(mask) or mix(mask, **pair)
    of_classes = checkout.names("utils/transformmasks.py", "generate_class_mask", torch=torch)
    masks, seen, guesses = [], [], []
    student, teacher, criterion = nn.Conv2d(2, 256, 1), nn.Identity(), nn.Identity()
    student.register_forward_pre_hook(lambda _, inputs: seen.append(*inputs))
    student.optim_parameters = nothing
    teacher.forward = lambda _: 100 * torch.eye(256)[np.int64(case.ids)].movedim(-1, 1)
    criterion.forward = lambda logits, guess, _: guesses.append(guess) or logits.mean()
    names = checkout.names(
        "trainSSL.py", "main", "strongTransform", "weakTransform", "Learning_Rate_Object",
        "getWeakInverseTransformParameters", **TORCH, **classmix_settings(case),
        transformsgpu=mixing, transformmasks=SimpleNamespace(**of_classes),
        Res_Deeplab=lambda **_: student, create_ema_model=lambda _: teacher,
        loss_calc=lambda logits, _: logits.mean(), update_ema_variables=nothing,
        CrossEntropyLoss2dPixelWiseWeighted=lambda: criterion,
    )  # fmt: skip
    names["main"]()
    # The student sees images with labels first, then those that are mixed.
    write(checkout, "classmix", mask=masks[0], mixed=last(seen[1]), mixed_ids=guesses[0])


def classmix_settings(case):
    """What their main finds: settings, the images, the classes that are drawn, no files."""
    picks = []
    for ids, kept in zip(case.ids, case.kept, strict=True):
        classes = np.unique(ids[ids < 255])
        picks.append((len(classes), np.flatnonzero(kept[classes])))
    picks = iter(picks)

    def choice(among, number, replace):
        found, pick = next(picks)
        assert (among, number, replace) == (found, len(pick), False)
        return pick

    batch = (*tensors(first(case.x), case.ids), None, None, None)
    random = SimpleNamespace(choice=choice)
    sampler = SimpleNamespace(SubsetRandomSampler=nothing)
    return dict(
        np=numpy_with(random), IMG_MEAN=np.zeros(3),
        data=SimpleNamespace(sampler=sampler, DataLoader=lambda *_, **__: [batch]),
        get_loader=lambda _: lambda *_, **__: batch, get_data_path=nothing,
        optim=SimpleNamespace(SGD=lambda *_, **__: OPTIMIZER), cudnn=SimpleNamespace(),
        model_zoo=SimpleNamespace(load_url=lambda _: {}), restore_from="http",
        pickle=SimpleNamespace(load=lambda _: [], dump=nothing), json=SimpleNamespace(dump=nothing),
        os=SimpleNamespace(path=SimpleNamespace(exists=bool, join=nothing)),
        open=lambda *_: contextlib.nullcontext(), print=nothing, _save_checkpoint=nothing,
        evaluate=lambda *_, **__: (0.0, 0.0), timeit=SimpleNamespace(default_timer=float), start=0,
        args=SimpleNamespace(resume=None), gpus=(0,), checkpoint_dir="here", split_id="a file",
        dataset="pascal_voc", config={"training": {"learning_rate": 0}}, consistency_loss="CE",
        num_classes=256, ignore_label=255, batch_size=4, num_workers=0, input_size=(6, 8),
        num_iterations=1, optimizer_type="SGD", learning_rate=0, momentum=0, weight_decay=0,
        lr_schedule=False, mix_mask="class", labeled_samples=4, train_unlabeled=True,
        pixel_weight=False, consistency_weight=1, random_flip=False, random_scale=False,
        color_jitter=False, gaussian_blur=False, use_tensorboard=False, val_per_iter=1,
        save_checkpoint_every=1, save_unlabeled_images=False,
    )  # fmt: skip


def gradientsaliency(root):
    """Their train runs, for one step; its network gets the saliency with the images to mix."""
    checkout, case = Checkout(root, "snu-mllab/PuzzleMix"), Case("gradientsaliency")
    seen, (w,) = [], tensors(case.w)

    def forward(x, y=None, grad=None, **_):
        logits = torch.tanh(0.3 * x.movedim(1, -1).flatten(1)) @ w
        if y is None:
            return logits
        seen.append(grad)
        return logits.requires_grad_(), torch.eye(3)[y]

    model = nn.Identity()
    model.forward = forward
    names = checkout.names(
        "main.py", "train", torch=torch, np=np, Variable=torch.autograd.Variable,
        AverageMeter=Meter, time=SimpleNamespace(time=float), bce_loss=nn.BCELoss(),
        softmax=nn.Softmax(dim=1), criterion_batch=nn.CrossEntropyLoss(reduction="none"),
        accuracy=lambda *_, **__: torch.zeros(2), print_log=nothing,
    )  # fmt: skip
    args = SimpleNamespace(train="mixup", graph=True, adv_p=0, clean_lam=0)
    names["train"]([tensors(first(case.x), case.y)], model, OPTIMIZER, 0, args, None)
    write(checkout, "gradientsaliency", saliency=seen[0])


def guidedmixup(root):
    """Their _train runs; the saliency that it asks for is the file's. The second batch of the
    loader, which it needs, is as the first.
    """
    checkout, case = Checkout(root, "3neutronstar/GuidedMixup"), Case("guidedmixup")
    distance = checkout.names("FGVC/Utils/distance.py", "distance_function", torch=torch)
    names = checkout.names(
        "FGVC/Implementor/guidedmixup.py", "GuidedMixupLearner", "multi_greedy", torch=torch,
        np=numpy(0.0, 0.0), copy=copy, Baseline=object, AverageMeter=Meter, ProgressMeter=nothing,
        time=SimpleNamespace(time=float), distance_function=distance["distance_function"],
    )  # fmt: skip
    learner, steps = object.__new__(names["GuidedMixupLearner"]), []
    pair = learner.pairing
    learner.pairing = lambda s: steps.append([pair(s)]) or steps[-1][0]
    learner.saliency = SimpleNamespace(
        transform_spectral_residual=lambda _: torch.from_numpy(case.saliency.copy())
    )

    def forward(mixed, y, y2, lam, lam2):
        steps[-1] += mixed, lam
        return torch.zeros(()), None

    learner.configs = dict(
        training_verbose=False, mix_prob=1, mixup_epochs=0, train_mode="guided-sr",
        saliency_normalization="sumto1", condition="greedy", distance_metric="l2", m_part=7,
        batch_size=7, label_mixing="saliency_label", local_rank=1,
    )  # fmt: skip
    learner._forward_all, learner.optimizer, learner.model = forward, OPTIMIZER, nn.Identity()
    learner._update_model = learner.step_lr_scheduler = learner._show_training_log = nothing
    learner.blur, learner.device = None, "cpu"
    learner._train([tensors(first(case.x), range(7))] * 2, 1)
    index, mixed, lam = steps[0]
    write(checkout, "guidedmixup", index=index, mixed=last(mixed), lam=lam)


def puzzlemix(root):
    """Images have mean 0 and deviation 1; beta and eta are the defaults of their main.py."""
    import gco

    checkout, case = Checkout(root, "snu-mllab/PuzzleMix"), Case("puzzlemix")
    names = checkout.names(
        "mixup.py", "mixup_graph", "graphcut_multi", "neigh_penalty", **TORCH, np=np, gco=gco
    )
    cut, masks, found = names["graphcut_multi"], [], {}
    names["graphcut_multi"] = lambda *args: masks.append(cut(*args)) or masks[-1]
    x, saliency, index = tensors(first(case.x), case.saliency, case.index)
    for tag in "abc":
        cells, levels, lam, gamma = decimals(case[f"drawn_{tag}"])
        masks.clear()
        _, found[f"ratio_{tag}"] = names["mixup_graph"](
            x, saliency, index, block_num=int(cells), alpha=lam, beta=1.2, gamma=gamma, eta=0.2,
            neigh_size=16, n_labels=int(levels), mean=0, std=1, device="cpu",
        )  # fmt: skip
        found[f"mask_{tag}"] = np.stack(masks)
    write(checkout, "puzzlemix", **found)


def puzzlemix_transport(root):
    """Their images have three channels, which are alike here."""
    checkout, case = Checkout(root, "snu-mllab/PuzzleMix"), Case("puzzlemix_transport")
    names = checkout.names(
        "mixup.py", "mask_transport", "transport_image", "cost_matrix", "cost_matrix_dict",
        torch=torch, np=np, device="cpu",
    )  # fmt: skip
    x, mask, saliency = tensors(first(case.x), case.mask, case.saliency)
    found = {}
    for eps in decimals(case.eps):
        plan = names["mask_transport"](mask[:, None], saliency, eps)
        moved = names["transport_image"](x.repeat(1, 3, 1, 1), plan, 4, 4, 2)
        found |= {f"plan_{eps * 100:.0f}": plan, f"moved_{eps * 100:.0f}": last(moved)[..., :1]}
    write(checkout, "puzzlemix_transport", **found)


def spectralresidual(root):
    """The images are gray and small already, so nothing of torchvision has to make them so."""
    checkout, case = Checkout(root, "3neutronstar/GuidedMixup"), Case("spectralresidual")
    same = checkout.names("FGVC/Utils/augmentation.py", "Identity")["Identity"]
    transforms = SimpleNamespace(Grayscale=nothing, Resize=nothing, Compose=lambda _: same())
    names = checkout.names(
        "FGVC/Utils/spectral_residual.py", "SpectralResidual",
        torch=torch, nn=nn, transforms=transforms, Identity=same,
    )  # fmt: skip
    saliency = names["SpectralResidual"](blur=0, device="cpu")
    found = saliency.transform_spectral_residual(*tensors(first(case.x)))
    write(checkout, "spectralresidual", saliency=found)


def ssmix(root):
    checkout, case = Checkout(root, "clovaai/ssmix"), Case("ssmix")
    names = checkout.names(
        "augmentation/ssmix.py", "SSMix", **TORCH, copy=copy,
        get_saliency=lambda *_: (torch.from_numpy(case.saliency), None, None),
    )  # fmt: skip
    ids, other, *lengths = tensors(case.ids, case.other, case.lengths, case.other_lengths)
    found = {"mixed": [], "lam": []}
    for window in case.window.tolist():
        mix = names["SSMix"](SimpleNamespace(device="cpu", ss_winsize=window))
        saliency = torch.from_numpy(case.other_saliency)
        inputs = {"input_ids": ids}, {"input_ids": other}
        mixed, lam = mix.ssmix(4, *inputs, *lengths, saliency, None, 10)
        found["mixed"].append(mixed["input_ids"])
        found["lam"].append(lam)
    write(checkout, "ssmix", **found)


def tlalign(root):
    """What comes before the softmax is the logarithm of the attention in the file."""
    checkout, case = Checkout(root, "Euphoria16/TL-Align"), Case("tlalign")
    mixing = checkout.names(
        "tla.py", "TL_AlignMix", "mixup_target", "token_label", "one_hot", torch=torch, np=np
    )
    mix = mixing["TL_AlignMix"](label_smoothing=0.0, num_classes=3)
    mix._mix_batch = lambda x: (float(case.lam), x, torch.from_numpy(1 - case.mask))
    _, labels = mix(torch.zeros(2), torch.tensor([0, 1]))
    names = checkout.names(
        "timm/models/vision_transformer.py", "Block", "Attention", **TORCH,
        Mlp=lambda **_: nn.Identity(),
    )  # fmt: skip
    for attention in np.log(case.attentions):
        block = names["Block"](10, 2)
        block.attn.scale = 1.0
        # Queries, keys and values of 2 heads, of 5 numbers each.
        parts = np.broadcast_arrays(attention, np.eye(5, dtype=np.float32), np.float32(0))
        parts = np.stack(parts, axis=2).transpose(0, 3, 2, 1, 4).reshape(2, 5, 30)
        block.attn.qkv.forward = lambda _, parts=parts: torch.from_numpy(parts)
        _, labels = block(torch.zeros(2, 5, 10), labels)
    write(checkout, "tlalign", labels=labels)


def transmix(root):
    """λ is what their labels keep of a label of ones that is mixed with zeros."""
    checkout, case = Checkout(root, "Beckschen/TransMix"), Case("transmix")
    names = checkout.names(
        "transmix.py", "Mixup_transmix", Mixup=object, torch=torch, nn=nn, math=math
    )
    label, found = names["Mixup_transmix"]().transmix_label, []
    (attention,) = tensors(case.attention.reshape(4, -1))
    for box in case.boxes.tolist():
        pair = torch.ones(4, 1), torch.zeros(4, 1)
        found.append(label((None, *pair, box), attention, (4, 3, 8, 8))[:, 0])
    write(checkout, "transmix", lam=np.stack(found))


if __name__ == "__main__":
    for make in (
        alignmix, classmix, gradientsaliency, guidedmixup, puzzlemix, puzzlemix_transport,
        spectralresidual, ssmix, tlalign, transmix,
    ):  # fmt: skip
        make(sys.argv[1])
