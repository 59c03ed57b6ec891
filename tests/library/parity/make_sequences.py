"""The same as make_verbs, for tables, matrices, text and speech.

python -m tests.library.parity.make_sequences PATH_OF_CHECKOUTS
"""

import sys
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.library.migrating.checkouts import Checkout
from tests.library.parity.stand_ins import (
    OPTIMIZER,
    TORCH,
    Drawn,
    Meter,
    nothing,
    numpy_with,
    save,
    tensors,
)


def featmix(root):
    checkout = Checkout(root, "WhatAShot/ExcelFormer")
    drawn, rng = Drawn(8), np.random.default_rng(6)
    names = checkout.names(
        "lib/aug_utils.py", "batch_feat_shuffle", np=numpy_with(drawn), torch=torch
    )
    x, information = rng.normal(size=(6, 9)).astype(np.float32), rng.random(9)
    mixed, masks, _ = names["batch_feat_shuffle"](*tensors(x), beta=0.5)
    rates, u, index = drawn.numbers
    lam = (torch.from_numpy(information / information.sum()) * masks).sum(1)  # run_default_config
    saved = {"x": x, "information": information, "rates": rates[:, 0], "u": u, "index": index}
    save(checkout, "featmix", "lib/aug_utils.py batch_feat_shuffle", **saved, mixed=mixed, lam=lam)


def rmixup(root):
    checkout = Checkout(root, "Wayfear/MTML-ABCD")
    drawn, rng = Drawn(25), np.random.default_rng(7)
    path = "source/utils/prepossess.py"
    wanted = "renn_mixup", "tensor_log", "tensor_exp"
    names = checkout.names(path, *wanted, np=numpy_with(drawn), torch=torch)
    x = np.stack([np.corrcoef(rng.normal(size=(5, 12))) for _ in range(4)])
    torch.manual_seed(2)
    mixed, index = names["renn_mixup"](*tensors(x), torch.arange(4.0).double(), device="cpu")
    torch.manual_seed(2)
    index = torch.randperm(4)
    save(checkout, "rmixup", f"{path} renn_mixup", x=x, lam=drawn.numbers, index=index, mixed=mixed)


class Recogniser:
    """The CTC loss of a linear network, which remembers what it heard."""

    train = nothing

    def __init__(self, weight):
        self.weight = nn.Parameter(torch.from_numpy(weight))

    def parameters(self):
        return [self.weight]

    def __call__(self, inputs, targets):
        self.inputs = inputs
        scores = F.log_softmax(inputs["inputs"] @ self.weight, -1).transpose(0, 1)
        sizes = inputs["inputs_length"], targets["targets_length"]
        return F.ctc_loss(scores, targets["targets"], *sizes, reduction="none"), None


def mixspeech(root):
    checkout = Checkout(root, "ZhengkunTian/OpenTransformer")
    drawn, rng = Drawn(18), np.random.default_rng(8)
    math = SimpleNamespace(isnan=np.isnan)
    imports = {"np": numpy_with(drawn), "torch": torch, "time": SimpleNamespace(time=lambda: 0.0)}
    imports |= {"AverageMeter": Meter, "AuxiliaryLossAverageMeter": Meter, "math": math}
    Meter.reset = nothing
    trainer = checkout.names("otrans/train/trainer.py", "Trainer", **imports)["Trainer"]
    lengths, sizes = np.array([9, 6, 5, 8, 7, 7]), np.array([3, 2, 1, 3, 2, 3])
    heard = np.arange(9) < lengths[:, None]
    x = (rng.normal(size=(6, 9, 4)) * heard[..., None]).astype(np.float32)
    words = rng.integers(1, 6, (6, 3)) * (np.arange(3) < sizes[:, None])
    weight = rng.normal(size=(4, 6)).astype(np.float32)
    inputs, masks, long = tensors(x, heard, lengths)
    targets, there, short = tensors(words, words > 0, sizes)
    batch = {"inputs": inputs, "mask": masks, "inputs_length": long}
    batch = None, batch, {"targets": targets, "mask": there, "targets_length": short}
    model = Recogniser(weight)
    self = SimpleNamespace(
        model=model, ngpu=0, is_mixspeech=True, accum_steps=1, get_rank=lambda: 0, local_rank=1,
        global_training_step=1, grad_clip=1.0, grad_noise=0.0, optimizer=OPTIMIZER, is_visual=False,
        scheduler=SimpleNamespace(step=nothing, global_step=1), is_debug=False, log_interval=10,
        mean_loss=SimpleNamespace(mean=lambda: 0.0),
    )  # fmt: skip
    Meter.seen.clear()
    trainer.train_one_epoch(self, 0, [batch])
    save(
        checkout, "mixspeech", "otrans/train/trainer.py train_one_epoch, mixspeech",
        x=x, heard=heard, words=words, weight=weight, lam=drawn.numbers[0],
        mixed=model.inputs["inputs"], union=model.inputs["mask"], loss=Meter.seen[""][0],
    )  # fmt: skip


class Translator:
    """Their encoder and decoder without layers of attention, and two heads."""

    def __init__(self, checkout, table, places, heads):
        out = namedtuple("Out", "encoder_out encoder_padding_mask encoder_embedding encoder_states")
        names = checkout.names(
            "fairseq/models/transformer.py", "TransformerEncoder", "TransformerDecoder", **TORCH,
            FairseqEncoder=object, FairseqIncrementalDecoder=object, EncoderOut=out,
        )  # fmt: skip
        self.encoder, self.decoder = names["TransformerEncoder"], names["TransformerDecoder"]
        table, places, self.own, self.across = tensors(table, places, *heads)
        self.parts = SimpleNamespace(
            dropout=0.0, training=False, layernorm_embedding=None, padding_idx=0, layers=[],
            layer_norm=None, layer_wise_attention=False, embed_scale=1.0,
            cross_self_attention=False, project_in_dim=None, project_out_dim=None, num_layers=0,
            embed_positions=lambda x, **_: places[: x.shape[1]].expand(len(x), -1, -1),
            embed_tokens=lambda x: table[x],
            forward_embedding=lambda x: self.encoder.forward_embedding(self.parts, x),
        )  # fmt: skip

    def mix(self, lam, a, a_lengths, b, b_lengths, before, prev_output_tokens_b):
        self.read = self.encoder.mix(self.parts, lam, a, a_lengths, b, b_lengths)[0]
        given = self.parts, lam, before, prev_output_tokens_b
        self.written = self.decoder.extract_features_mix(*given)[0]
        return self.written @ self.own + (self.read.mean(0) @ self.across)[:, None]

    def get_normalized_probs(self, output, log_probs):
        return F.log_softmax(output, -1)


def seqmix(root):
    """Embeddings and the loss."""
    checkout = Checkout(root, "dguo98/SeqMix")
    path = "fairseq/criterions/label_smoothed_cross_entropy.py"
    criterion = checkout.names(
        path, "LabelSmoothedCrossEntropyCriterion", "label_smoothed_nll_loss", torch=torch,
        FairseqCriterion=object, register_criterion=lambda _: lambda kind: kind,
    )["LabelSmoothedCrossEntropyCriterion"]  # fmt: skip
    rng = np.random.default_rng(9)
    table, places = (rng.normal(size=(n, 4)).astype(np.float32) for n in (8, 5))
    heads = rng.normal(size=(2, 4, 8)).astype(np.float32)
    sizes = np.array([[5, 4], [3, 5], [4, 4]])  # of a and b
    words = rng.integers(1, 8, (2, 3, 2, 5)) * (np.arange(5) < sizes[None, ..., None])
    moved = np.pad(words[1], ((0, 0), (0, 0), (1, 0)))[..., :-1]

    def side(i):
        source, target, before = tensors(words[0, :, i], words[1, :, i], moved[:, i])
        return {"src_tokens": source, "src_lengths": None, "prev_output_tokens": before}, target

    (a, target_a), (b, target_b) = side(0), side(1)
    sample = {"net_input_a": a, "net_input_b": b, "target_a": target_a, "target_b": target_b}
    sample |= {"id": [0, 1, 2], "ntokens": int((target_a > 0).sum())}
    lam, model = torch.tensor([0.3, 0.8, 0.55]), Translator(checkout, table, places, heads)
    self = SimpleNamespace(eps=0.0, padding_idx=0, sentence_avg=False)
    loss = criterion.forward(self, model, sample, lam)[0]
    save(
        checkout, "seqmix", f"{path}, fairseq/models/transformer.py mix, extract_features_mix",
        words=words, lam=lam, table=table, places=places, heads=heads, loss=loss,
        read=model.read.transpose(0, 1), written=model.written,
    )  # fmt: skip


if __name__ == "__main__":
    for make in (featmix, rmixup, mixspeech, seqmix):
        make(sys.argv[1])
