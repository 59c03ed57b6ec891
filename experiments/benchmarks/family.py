"""The family against its peers: each method next to every package that has it, on the same work.

float32 pictures in and out, all draws and labels included. The first row of a group is ours, as a
user calls it: one compiled step with the pairing for this machine, and dense labels. A ratio above
1 says that the peer is slower.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

import jax_mixup as jm
from experiments.benchmarks import cases, peers, timing
from experiments.benchmarks.family_peers import Maker, Work, known, openmixup, package, torchvision
from experiments.draws import Moved
from experiments.harness.tables import markdown_row

OURS = "jax_mixup"
PEERS = ("openmixup", "mixup", "timm", "torchvision", "kornia", "keras")
Ours = Callable[[PRNGKeyArray, Array, Array], Moved]  # of a key, the pictures, and given maps


class Cell(NamedTuple):
    """A method: ours, and theirs by package."""

    ours: Ours
    theirs: Mapping[str, Maker]


def drawn(sampler: Callable[..., Any], *, fit: str = "", **options: Any) -> Ours:
    """A sampler that needs the key alone; with `fit` the partner's whole picture is in the box."""

    def ours(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
        mix = sampler(key, x.shape[:-1], pairing=jm.pairing_for(len(x)), **options)
        return Moved(mix, x, jm.fit_partner(mix, x, method=fit) if fit else None)

    return ours


def salient(sampler: Callable[..., Any], **options: Any) -> Ours:
    """A sampler that follows the spectral residual of every picture."""

    def ours(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
        pairing = jm.pairing_for(len(x))
        return Moved(sampler(key, jm.spectral_residual(x), pairing=pairing, **options), x)

    return ours


def one_box(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    """SaliencyMix with the box of one picture, a partner, for the whole batch."""
    one = jm.sample_saliencymix(key, jm.spectral_residual(x[1:2]))
    lam = jnp.broadcast_to(one.lam, len(x))
    return Moved(jm.Mix(jm.pairing_for(len(x)), one.mask, lam), x)


def attentive(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    cells = maps[:, :: x.shape[1] // 7, :: x.shape[2] // 7]
    mix = jm.sample_attentive_cutmix(key, cells, pairing=jm.pairing_for(len(x)))
    return Moved(jm.resize_mix(mix, x.shape[1:-1]), x)


def tokens(x: Array, maps: Array) -> Array:
    """Attention of 14 x 14 tokens."""
    return maps[:, :: x.shape[1] // 14, :: x.shape[2] // 14]


def tokenmix(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    mix = jm.sample_tokenmix(key, (len(x), 14, 14), pairing=jm.pairing_for(len(x)))
    weighed = jm.reweigh(mix, tokens(x, maps))
    return Moved(jm.resize_mix(weighed, x.shape[1:-1]), x)


def transmix(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    mix = jm.sample_cutmix(key, x.shape[:-1], pairing=jm.pairing_for(len(x)))
    return Moved(jm.transmix(mix, tokens(x, maps)), x)


def smmix(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    patch, pairing = x.shape[1] // 14, jm.pairing_for(len(x))
    mix, source = jm.sample_smmix(key, tokens(x, maps), patch=patch, pairing=pairing)
    return Moved(mix, x, jm.fit_partner(mix, x, source=source, method="nearest"))


def guidedmixup(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    saliency = jm.spectral_residual(x)
    pairing = jm.salient_pairs(saliency)
    return Moved(jm.sample_guidedmixup(key, saliency, pairing=pairing), x)


def snapmix(key: PRNGKeyArray, x: Array, maps: Array) -> Moved:
    mix, source, _ = jm.sample_snapmix(key, maps, pairing=jm.pairing_for(len(x)))
    return Moved(mix, x, jm.fit_partner(mix, x, source=source))


def puzzlemix(key: PRNGKeyArray, x: Array, maps: Array, *, transport: bool) -> Moved:
    pairing, grid = jm.pairing_for(len(x)), (8, 8)
    mix = jm.sample_puzzlemix(key, maps, alpha=0.5, x=x / 255, grid=grid, pairing=pairing)
    if not transport:
        return Moved(mix, x)
    own, other = jm.puzzle_transport(mix, maps, grid=grid)
    move = partial(jm.move_blocks, grid=grid)
    return Moved(mix, move(x, own), move(jm.take_partner(mix, x), other))


def core(per: str) -> dict[str, Cell]:
    """Mixup, CutMix and either."""
    named = {"batch": "", "example": ", per example"}[per]
    timm = partial(known, peers.make_timm, per=per)
    mixup = {"timm": timm(mixup_alpha=1.0, cutmix_alpha=0.0)}
    cut = {"timm": timm(mixup_alpha=0.0, cutmix_alpha=1.0)}
    either = {"timm": timm()}
    mixup["kornia"] = known(peers.make_kornia, "RandomMixUpV2", per=per)
    cut["kornia"] = known(peers.make_kornia, "RandomCutMixV2", per=per, use_correct_lambda=True)
    if per == "batch":
        mixup |= {"openmixup": openmixup("mixup"), "mixup": package("VanillaMixUp")}
        cut |= {"openmixup": openmixup("cutmix"), "mixup": package("CutMix")}
        either["mixup"] = package("VanillaMixUp", "CutMix")
        mixup["torchvision"], cut["torchvision"] = torchvision("MixUp"), torchvision("CutMix")
        either["torchvision"] = torchvision("MixUp", "CutMix")
    else:
        mixup["keras"] = known(peers.make_keras, "MixUp", per=per)
        cut["keras"] = known(peers.make_keras, "CutMix", per=per)
    return {
        f"mixup{named}": Cell(drawn(jm.sample_mixup, per=per), mixup),
        f"CutMix{named}": Cell(drawn(jm.sample_cutmix, per=per), cut),
        f"mixup or CutMix{named}": Cell(drawn(jm.sample_mixup_or_cutmix, per=per), either),
    }


EVEN = partial(drawn, jm.sample_resizemix, box="even")  # openmixup's box
GRID = {"n_holes": (2, 6), "cut_area_ratio": (0.5, 1), "cut_aspect_ratio": (0.5, 2)}
PUZZLE = {
    "block_num": (3, 4),
    "neigh_size": 4,
    "n_labels": 3,
    "t_eps": 0.8,
    "mean": 0.0,
    "std": 1 / 255,
}
CELLS = core("batch") | core("example")
CELLS |= {
    "FMix": Cell(drawn(jm.sample_fmix), {"openmixup": openmixup("fmix"), "mixup": package("FMix")}),
    "ResizeMix, linear": Cell(
        EVEN(fit="linear"),
        {"openmixup": openmixup("resizemix", interpolate_mode="bilinear")},
    ),
    "ResizeMix, nearest": Cell(EVEN(fit="nearest"), {"openmixup": openmixup("resizemix")}),
    "ResizeMix, linear, λ ~ Beta(1, 1)": Cell(
        drawn(jm.sample_cutmix, fit="linear", box="inside"), {"mixup": package("ResizeMix")}
    ),
    "GridMixup": Cell(drawn(jm.sample_gridmixup), {"openmixup": openmixup("gridmix", **GRID)}),
    "SmoothMix": Cell(drawn(jm.sample_smoothmix), {"openmixup": openmixup("smoothmix")}),
    "SaliencyMix, saliency of all (openmixup: of one)": Cell(
        salient(jm.sample_saliencymix),
        {"openmixup": openmixup("saliencymix"), "mixup": package("SaliencyMix")},
    ),
    "SaliencyMix, saliency of one for all": Cell(one_box, {"openmixup": openmixup("saliencymix")}),
}
LARGE = {  # these have grids that fit pictures of 224 x 224
    "Attentive CutMix, saliency given": Cell(
        attentive, {"openmixup": openmixup("attentivemix", "features")}
    ),
    "TokenMix, attention given": Cell(tokenmix, {"openmixup": openmixup("tokenmix", "attention")}),
    "TransMix, attention given": Cell(
        transmix, {"openmixup": openmixup("transmix", "attention", patch_shape=(14, 14))}
    ),
    "SMMix, attention given": Cell(smmix, {"openmixup": openmixup("smmix", "attention")}),
    "GuidedMixup, spectral residual": Cell(
        guidedmixup, {"openmixup": openmixup("guidedmix", "spectral")}
    ),
    "SnapMix, class activation given": Cell(
        snapmix, {"openmixup": openmixup("snapmix", "cam", alpha=5.0)}
    ),
    "Puzzle Mix, saliency given": Cell(
        partial(puzzlemix, transport=False),
        {"openmixup": openmixup("puzzlemix", "cam", transport=False, **PUZZLE)},
    ),
    "Puzzle Mix with transport, saliency given": Cell(
        partial(puzzlemix, transport=True),
        {"openmixup": openmixup("puzzlemix", "cam", t_batch_size=32, **PUZZLE)},
    ),
    "Puzzle Mix, saliency of all (mixup: most salient blocks)": Cell(
        salient(jm.sample_puzzlemix), {"mixup": package("PuzzleMix", block_size=28)}
    ),
}


def mixed(
    ours: Ours, classes: int, key: PRNGKeyArray, images: Array, ids: Array, maps: Array
) -> tuple[Array, Array]:
    """The whole step: draw, blend, dense labels."""
    mix, own, other = ours(key, images, maps)
    return jm.blend(mix, own, other=other), jm.blend_labels(mix, ids, num_classes=classes)


def cells(size: str) -> dict[str, Cell]:
    return CELLS | LARGE if size == "large" else CELLS


def groups(checkout: Path | None) -> dict[str, Callable[[], dict[str, timing.Row | str]]]:
    """A group for each size and cell."""
    return {
        f"family, {size}: {name}": partial(rows, size, cell, checkout)
        for size in ("small", "large")
        for name, cell in cells(size).items()
    }


def rows(size: str, cell: Cell, checkout: Path | None) -> dict[str, timing.Row | str]:
    """Ours, and each peer's row or why there is none."""
    timing.keep_memory()
    peers.settle()
    key, images, ids, classes = cases.batch(size, "f32")
    maps = jax.random.uniform(key, images.shape[:-1])

    step = partial(mixed, cell.ours, classes)
    arrays = (np.asarray(images), np.asarray(ids, np.int32))
    work = Work(*arrays, classes, np.asarray(maps), checkout)
    theirs = {name: peers.attempt(cell.theirs[name], work) for name in PEERS if name in cell.theirs}
    return {OURS: timing.compiled(step, key, images, ids, maps), **theirs}


def table(results: Mapping[str, Any]) -> list[str]:
    """Theirs / ours, in Markdown: a line for each cell, a column for each package."""
    found = {name: rows for name, rows in results.items() if name.startswith("family, ")}
    lines = [markdown_row(("", *PEERS)), markdown_row(["---"] * (1 + len(PEERS)))]
    for name, rows in found.items():
        ratios = (f"{rows[peer]['ratio']:.2f}" if peer in rows else "" for peer in PEERS)
        lines.append(markdown_row((name.removeprefix("family, "), *ratios)))
    return lines if found else []
