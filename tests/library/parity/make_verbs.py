"""Run the authors' code of the methods of COOKBOOK.md on small inputs, and keep what it gives.

    python -m tests.library.parity.make_verbs PATH_OF_CHECKOUTS

It needs PyTorch, SciPy and Pillow. Their functions run with stand-ins for networks, loaders and
writers; what NumPy drew and what came out goes to NAME.npz next to this.
"""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import nn

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.stand_ins import (
    OPTIMIZER,
    TORCH,
    Drawn,
    Linear,
    Loader,
    Meter,
    last,
    nothing,
    numpy,
    numpy_with,
    save,
    tensors,
)


def oacutmix(root):
    checkout = Checkout(root, "tobna/oa-cutmix")
    path = "openmixup/models/augments/cutmix_foreground_area.py"
    helpers = "_no_repeat_shuffle_idx", "_convert_binary_mask", "_rand_bbox"
    helpers += "_compute_foreground_area", "_compute_total_foreground_area"
    drawn, rng = Drawn(25), np.random.default_rng(0)
    names = checkout.names(
        path,
        "cutmix_foreground_area",
        *helpers,
        np=numpy_with(drawn),
        torch=torch,
        plot_image_mask_pairs=0,
    )
    x = rng.random((6, 3, 8, 12), np.float32)
    objects = np.zeros((6, 1, 8, 12), np.float32)
    for i, (top, left) in enumerate(rng.integers(0, [4, 6], (6, 2))):
        objects[i, 0, top : top + 3 + i % 2, left : left + 5] = 1
    objects[1] = 0  # theirs differ here
    saved = {"x": last(x), "objects": objects[:, 0]}
    for name, mode in (("absolute", "absolute"), ("relative", "relative"), ("between", 0.5)):
        torch.manual_seed(1)
        drawn.numbers.clear()
        given = *tensors(x), torch.arange(6), *tensors(objects)
        mixed, (_, index, weight) = names["cutmix_foreground_area"](*given, mode=mode)
        found = {"mixed": last(mixed), "index": index, "weight": weight[:, 0]}
        found["drawn"] = list(drawn.numbers)
        saved |= {f"{name}_{key}": value for key, value in found.items()}
    save(checkout, "oacutmix", f"{path} cutmix_foreground_area", **saved)


def cmo(root):
    checkout = Checkout(root, "naver-ai/cmo")
    rng, drawn = np.random.default_rng(1), Drawn(5)
    imports = {"AverageMeter": Meter, "accuracy": lambda *_, **__: ([0], [0]), **TORCH}
    imports |= {"time": SimpleNamespace(time=lambda: 0.0), "np": numpy_with(drawn)}
    names = checkout.names("cifar_train.py", "train", "rand_bbox", **imports)
    x, x2 = rng.random((2, 4, 3, 8, 12), np.float32)
    y, y2 = np.array([[0, 1, 2, 3], [3, 2, 2, 0]])
    weight = rng.normal(size=(3, 10)).astype(np.float32)
    args = SimpleNamespace(data_aug="CMO", start_data_aug=0, end_data_aug=0, epochs=9, gpu=None)
    args.mixup_prob, args.beta, args.print_freq = 2.0, 1.0, 5
    model, log = Linear(weight), SimpleNamespace(write=nothing, flush=nothing)
    writer = SimpleNamespace(add_scalar=nothing)
    loaders = Loader([tensors(x, y)]), Loader([tensors(x2, y2)])
    Meter.seen.clear()
    names["train"](
        loaders[0], model, nn.CrossEntropyLoss(), OPTIMIZER, 5, args, log, writer, loaders[1]
    )
    cifar = SimpleNamespace(datasets=SimpleNamespace(CIFAR10=object))
    kind = checkout.names(
        "imbalance_data/imbalance_cifar.py",
        "IMBALANCECIFAR10",
        torchvision=cifar,
        torch=torch,
        np=np,
    )["IMBALANCECIFAR10"]
    targets = [0] * 5 + [1] * 2 + [2]
    data = SimpleNamespace(get_cls_num_list=lambda: [5, 2, 1], targets=targets, weighted_alpha=1)
    saved = {"x": last(x), "x2": last(x2), "y": y, "y2": y2, "weight": weight}
    saved |= {"mixed": last(model.inputs[0]), "drawn": drawn.numbers[1:], "targets": targets}
    saved |= {"loss": Meter.seen["Loss"][0], "chances": kind.get_weighted_sampler(data).weights}
    what = "cifar_train.py train, imbalance_data/imbalance_cifar.py get_weighted_sampler"
    save(checkout, "cmo", what, **saved)


def mixoe(root):
    checkout = Checkout(root, "zjysteven/MixOE")
    rng, saved = np.random.default_rng(2), {}
    x, outliers = rng.random((2, 4, 3, 8, 12), np.float32)
    y, weight = np.array([0, 4, 9, 1]), rng.normal(size=(3, 10)).astype(np.float32)
    for seed, operation in enumerate(("mixup", "cutmix")):
        drawn, model = Drawn(seed), Linear(weight)
        bar = type("tqdm", (), {"__new__": lambda _, x, **__: x, "write": nothing})
        names = checkout.names(
            "train/train_mixoe.py", "train", "rand_bbox", "SoftCE", **TORCH, np=numpy_with(drawn),
            tqdm=bar, AverageMeter=Meter, accuracy=lambda *_, **__: (0.0, 0.0), net=model,
            args=SimpleNamespace(alpha=1.0, beta=1.0, mix_op=operation), num_classes=10, epoch=1,
            train_loader=Loader([tensors(x, y)]), oe_loader=Loader([tensors(outliers, y)]),
            scheduler=SimpleNamespace(get_last_lr=lambda: [0.0], step=nothing), optimizer=OPTIMIZER,
            writer=SimpleNamespace(add_scalar=nothing),
        )  # fmt: skip
        names["soft_xent"] = names["SoftCE"]()
        Meter.seen.clear()
        names["train"]()
        saved |= {
            f"{operation}_mixed": last(model.inputs[1]),
            f"{operation}_drawn": drawn.numbers[1:],
        }
        saved[f"{operation}_loss"] = Meter.seen["Loss"][0]
    saved |= {"x": last(x), "outliers": last(outliers), "y": y, "weight": weight}
    save(checkout, "mixoe", "train/train_mixoe.py train", **saved)


def dacs(root):
    """What their loop does for each picture is written again; the functions are theirs."""
    checkout = Checkout(root, "vikolss/DACS")
    mask_of = checkout.names("utils/transformmasks.py", "generate_class_mask", torch=torch)
    mix = checkout.names("utils/transformsgpu.py", "oneMix", torch=torch)["oneMix"]
    kind = "CrossEntropyLoss2dPixelWiseWeighted"
    criterion = checkout.names("utils/loss.py", kind, **TORCH)[kind]()
    rng = np.random.default_rng(3)
    x, x2 = rng.normal(size=(2, 3, 3, 6, 7)).astype(np.float32)
    student, teacher = rng.normal(0, [[[1]], [[6]]], size=(2, 3, 10)).astype(np.float32)
    ids = rng.integers(0, 4, (3, 6, 7))
    ids[1] = np.where(ids[1] == 3, 2, ids[1])  # three classes: two are pasted
    source, remain, labels = tensors(x, x2, ids)
    logits = lambda x, w: torch.einsum("bchw,ck->bkhw", x, torch.from_numpy(w))
    sure, guess = torch.softmax(logits(remain, teacher), 1).max(1)
    part = (sure >= 0.968).float().mean()
    mixed, targets, weights, masks = [], [], [], []
    for i in range(3):
        classes = torch.unique(labels[i])
        n = len(classes)
        chosen = classes[torch.from_numpy(rng.choice(n, int((n + n % 2) / 2), replace=False))]
        mask = mask_of["generate_class_mask"](labels[i], chosen)[None]
        masks.append(mask[0])
        mixed.append(mix(mask, data=torch.stack([source[i], remain[i]]))[0])
        targets.append(mix(mask, target=torch.stack([labels[i], guess[i]]))[1])
        both = torch.stack([torch.ones(6, 7), part.expand(6, 7)])
        weights.append(mix(mask, target=both)[1])
    mixed, targets, weights = map(torch.cat, (mixed, targets, weights))
    loss = F.cross_entropy(logits(source, student), labels)
    loss = loss + criterion(logits(mixed, student), targets, weights)
    save(
        checkout, "dacs", "utils/transformmasks.py, utils/transformsgpu.py, utils/loss.py",
        x=last(x), x2=last(x2), ids=ids, student=student, teacher=teacher, masks=torch.stack(masks),
        mixed=last(mixed), targets=targets, weights=weights, loss=loss,
    )  # fmt: skip


def bcp(root):
    """Their volumes have 112 x 112 x 80 positions, which the numbers of the place ask for."""
    checkout = Checkout(root, "DeepMed-Lab-ECNU/BCP")
    names = checkout.names(
        "code/utils/BCP_utils.py", "context_mask", "mix_loss", np=numpy(3, 1, 2), torch=torch,
        DICE=lambda *_: 0.0, CE=nn.CrossEntropyLoss(reduction="none"),
    )  # fmt: skip
    rng = np.random.default_rng(4)
    x, x2 = (rng.integers(-8, 9, (2, 4, 2, 12, 12, 9)) / 8).astype(np.float32)
    known, guessed = rng.integers(0, 3, (2, 4, 12, 12, 9))
    weight = rng.normal(size=(2, 3)).astype(np.float32)
    volumes, others, y, y2 = tensors(x, x2, known, guessed)
    (img_a, img_b), (unimg_a, unimg_b) = volumes.split(2), others.split(2)
    (lab_a, lab_b), (plab_a, plab_b) = y.split(2), y2.split(2)
    img_mask, loss_mask = names["context_mask"](img_a, 2 / 3)
    mixed = [
        img_a * img_mask + unimg_a * (1 - img_mask),
        unimg_b * img_mask + img_b * (1 - img_mask),
    ]
    outputs = [torch.einsum("bcxyz,ck->bkxyz", x, torch.from_numpy(weight)) for x in mixed]
    loss = names["mix_loss"](outputs[0], lab_a, plab_a, loss_mask, u_weight=0.5)
    loss += names["mix_loss"](outputs[1], plab_b, lab_b, loss_mask, u_weight=0.5, unlab=True)
    save(
        checkout, "bcp", "code/utils/BCP_utils.py context_mask, mix_loss",
        x=last(x), x2=last(x2), known=known, guessed=guessed, weight=weight, place=[3, 1, 2],
        mixed=last(torch.cat(mixed)), loss=2 * loss,  # of which the other half is Dice's
    )  # fmt: skip


def carvemix(root):
    checkout = Checkout(root, "ZhangxinruBIT/CarveMix")
    drawn, rng = Drawn(7), np.random.default_rng(5)
    path = "Task100_ATLASwithCarveMix/Simple_CarveMix.py"
    names = checkout.names(
        path, "generate_new_sample", "get_distance", np=numpy_with(drawn), ndimage=ndimage,
        nib=SimpleNamespace(load=lambda x: SimpleNamespace(get_fdata=lambda: x)),
        get_head=lambda _: ((1.0, 1.0), None, None), copy_head_and_right_xyz=lambda x, *_: x,
    )  # fmt: skip
    x = rng.random((6, 20, 24))
    rows, columns = np.mgrid[:20, :24]
    ids = np.zeros((6, 20, 24))
    for i, (row, column) in enumerate(rng.integers([6, 6], [14, 18], (6, 2))):
        ids[i] = np.hypot(rows - row, (columns - column) / (1 + 0.3 * i)) < 4
    partner = np.array([3, 0, 1, 5, 2, 4])
    found = [
        names["generate_new_sample"](x[i], x[p], ids[i], ids[p]) for i, p in enumerate(partner)
    ]
    mixed, labels, masks, _ = zip(*found, strict=True)
    depth = np.stack([names["get_distance"](label, (1.0, 1.0)) for label in ids])
    saved = {
        "x": x,
        "ids": ids,
        "depth": depth,
        "partner": partner,
        "u": 2 * np.array(drawn.numbers) - 1,
    }
    save(
        checkout,
        "carvemix",
        f"{path} generate_new_sample",
        **saved,
        mixed=mixed,
        labels=labels,
        masks=masks,
    )


def cutblur(root):
    checkout = Checkout(root, "clovaai/cutblur")
    rng, saved = np.random.default_rng(10), {}
    x, low = rng.random((2, 2, 3, 19, 9), np.float32)
    for seed in range(4):
        drawn = Drawn(seed)
        cut = checkout.names("augments.py", "cutblur", np=numpy_with(drawn))["cutblur"]
        mixed = last(cut(*tensors(x, low), prob=2.0, alpha=0.7)[1])
        name = "sharp" if drawn.numbers[4] > 0.5 else "blurred"  # what the box is
        saved |= {f"{name}_mixed": mixed, f"{name}_place": drawn.numbers[2:4]}
    save(checkout, "cutblur", "augments.py cutblur, alpha = 0.7", **saved, x=last(x), low=last(low))


def diffusion(kind, latents, prompts):
    """Their pipeline, with a network of one line, and a tenth of the noise taken in each step."""
    self, prompts = kind(), torch.from_numpy(prompts)
    bar = contextlib.nullcontext(SimpleNamespace(update=nothing))
    vars(self).update(
        _execution_device="cpu", vae_scale_factor=1, check_inputs=nothing, guidance_scale=7.5,
        cross_attention_kwargs=None, do_classifier_free_guidance=True, interrupt=False,
        clip_skip=None,
        encode_prompt=lambda prompt, *_, **__: (prompts[prompt], prompts[[10] * len(prompt)]),
        prepare_latents=lambda *_: torch.from_numpy(latents),
        prepare_extra_step_kwargs=lambda *_: {},
        progress_bar=lambda **_: bar, maybe_free_model_hooks=nothing,
        image_processor=SimpleNamespace(postprocess=lambda x, **_: x),
    )  # fmt: skip
    step = lambda noise, _, x, **__: (x - 0.1 * noise,)
    self.scheduler = SimpleNamespace(scale_model_input=lambda x, _: x, order=1, step=step)

    def network(x, _, encoder_hidden_states, **__):
        return [torch.tanh(x * encoder_hidden_states[:, :, None, None])]

    network.config = SimpleNamespace(sample_size=8, in_channels=4, time_cond_proj_dim=None)
    self.unet = network
    return self


def noisecutmix(root):
    """Three steps; latents are as large as pictures, so that their mask is not shrunk."""
    checkout = Checkout(root, "shumpei-takezaki/NoiseCutMix")
    drawn, rng = Drawn(5), np.random.default_rng(11)
    imports = {"np": numpy_with(drawn), "Image": Image, "Tuple": tuple}
    make = checkout.names("utils.py", "make_mask_and_ratio", **imports)["make_mask_and_ratio"]
    masks, areas = zip(*(make((8, 12, 1), 1.0) for _ in range(3)), strict=True)
    masks = np.stack([np.asarray(mask) // 255 for mask in masks]).astype(np.float32)
    preprocess = lambda mask, **_: torch.from_numpy(mask)[:, None]
    kind = checkout.names(
        "pipeline.py", "NoiseCutMixPipeline", torch=torch, StableDiffusionPipeline=object,
        VaeImageProcessor=lambda **_: SimpleNamespace(preprocess=preprocess),
        retrieve_timesteps=lambda *_: (range(3), 3),
    )["NoiseCutMixPipeline"]  # fmt: skip
    prompts = rng.normal(size=(11, 4)).astype(np.float32)  # of ten classes, and of none
    latents, labels = rng.normal(size=(3, 4, 8, 12)).astype(np.float32), [0, 4, 9]
    pipeline = diffusion(kind, latents, prompts)
    made, _ = pipeline(labels, labels[::-1], masks, 8, 12, output_type="latent", return_dict=False)
    save(
        checkout, "noisecutmix", "pipeline.py NoiseCutMixPipeline, utils.py make_mask_and_ratio",
        latents=last(latents), prompts=prompts, labels=labels, masks=masks, areas=areas,
        drawn=np.reshape(drawn.numbers, (3, 3)), made=last(made),
    )  # fmt: skip


if __name__ == "__main__":
    for make in (oacutmix, cmo, mixoe, dacs, bcp, carvemix, cutblur, noisecutmix):
        make(sys.argv[1])
