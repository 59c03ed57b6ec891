"""The one list of methods: what each is, and the draws that show, time, compare and test it.

`jax_mixup/samplers/README.md` shows it as a table, `experiments.gallery` draws pictures by it,
`experiments.benchmarks.costs` times it, `experiments.family` trains with it, and the tests of the
library check what every sampler promises. A new method is one more `Method` in `CATALOGUE`.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import jax_mixup as jm
from experiments.draws import (
    Draw,
    Tested,
    averaged,
    boxes,
    classed,
    guided,
    local,
    paired,
    pasted,
    pixmixed,
    puzzled,
    ranked,
    resized,
    restyled,
    smmixed,
    snapped,
    spliced,
    stacked,
    styled,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
    """A method: one line of the table, in Markdown."""

    name: str
    paper: str  # "author year, arXiv:number", or a link
    call: str  # the one call, where there is one
    verb: str  # the sampler or the verb
    needs: str = "key"
    cost: str = ""  # {name} is the time of a draw, by its name in `costs`
    draws: Sequence[Draw] = ()
    family: str = ""  # its name in `experiments.family`, where its one call trains there


# The options of the gallery: neighbours are partners, and λ is 0.6 where it is drawn.
LAM = jm.constant(0.6)
near = partial(dict, pairing=jm.neighbours())
at = partial(near, lam_law=LAM)
# fmt: off
EITHER = ("mixup_alpha", "cutmix_alpha")
OVER = {"shifts": (-1, -2, -3), "lam_law": jm.constant(0.75)}
PROBS = {"switch_prob": (0.0, 0.3, 1.0), "prob": (1.0, 0.5, 0.0)}
BANK = ("mixed concat", "vertical concat", "horizontal concat", "random 2 × 2", "random rows",
        "random columns")
HARD = Tested(hard=True)
WEIGHED = Tested(hard=True, exact=False)
SEVERAL = Tested(several=True)

# Methods that are a few lines of verbs: COOKBOOK.md has the code of each.
RECIPES = (
    ("OA-CutMix", "Nauen 2026, arXiv:2606.04820", "`reweigh(mix, objects)`", "masks of objects"),
    ("CMO", "Park 2022, arXiv:2112.00412", "`sample_cutmix`, `class_balanced`", "labels"),
    ("MixOE", "Zhang 2023, arXiv:2106.03917", "`blend_labels(other=)`", "outliers"),
    ("DACS", "Tranheden 2021, arXiv:2007.08702", "`sample_classmix`, `select(other=)`", "id maps"),
    ("BCP", "Bai 2023, arXiv:2305.00673", '`sample_cutmix`, `pair_loss(by="mask")`', "id maps"),
    ("CarveMix", "Zhang 2021, arXiv:2108.06883", "`select(mix, ids)`", "distances to lesions"),
    ("FEAT-MIX", "Chen 2024, arXiv:2301.02819", "`sample_gridmix`, `reweigh`", "information"),
    ("ifMixup", "Guo 2023, arXiv:2110.09344", "`blend` of nodes and edges", "padded graphs"),
    ("R-Mixup", "Kan 2023, arXiv:2306.02532", "`blend` of logarithms", "SPD matrices"),
    ("SFTMix", "Xiao 2026, arXiv:2410.05248", "`by_weight`, `pair_loss`", "hidden states, scores"),
    ("SeqMix", "Guo 2020, arXiv:2011.09039", "`blend` of both sides, `pair_loss`", "embeddings"),
    ("MixSpeech", "Meng 2021, arXiv:2102.12664", "`pair_loss` of CTC losses", "spectra"),
    ("CutBlur", "Yoo 2020, arXiv:2004.00448", "`blend(mix, low, other=high)`", "two resolutions"),
    ("NoiseCutMix", "Takezaki 2025, arXiv:2509.00378", "`blend(mix, noise, other=)`", "diffusion"),
    ("distillation", "Beyer 2022, arXiv:2106.05237", "`blend` for both networks", "a teacher"),
)

CATALOGUE: dict[str, Sequence[Method]] = {
    "From the key": [
        Method("mixup", "Zhang 2018, arXiv:1710.09412", "mixup", "`sample_mixup`",
               "key; fits any shape", "{mixup}", [
            Draw(jm.sample_mixup, gallery={"mixup": at()}, costs={"mixup": {}},
                 family={"mixup": {}}, tested=Tested(rank=0))]),
        Method("CutMix", "Yun 2019, arXiv:1905.04899", "cutmix",
               "`sample_cutmix`: intervals, boxes, cuboids", cost="{CutMix}", draws=[
            Draw(jm.sample_cutmix, costs={"CutMix": {}}, family={"CutMix": {}}, tested=HARD,
                 gallery={"CutMix, clipped box": at(), "CutMix, box inside": at(box="inside")})]),
        Method("VideoMix", "Yun 2020, arXiv:2012.03457", "cutmix(axes=)",
               "`sample_cutmix(axes=)`: one box in all frames, or frames whole", cost="as CutMix"),
        Method("either", "as in DeiT, arXiv:2012.12877", "mixup_or_cutmix",
               "`sample_mixup_or_cutmix`, one branch-free map", cost="{mixup or CutMix}", draws=[
            Draw(jm.sample_mixup_or_cutmix, costs={"mixup or CutMix": {}},
                 family={"mixup or CutMix (DeiT)": {}},
                 tested=Tested({"prob": 0.9}, alphas=EITHER, traced=PROBS))]),
        Method("FMix", "Harris 2020, arXiv:2002.12047", "mix_batch",
               "`sample_fmix`; one label: `own_label` and `beta(α+1, α)`", cost="{FMix}", draws=[
            Draw(jm.sample_fmix, gallery={"FMix": at()}, costs={"FMix": {}}, family={"FMix": {}},
                 tested=HARD)]),
        Method("ResizeMix", "Qin 2020, arXiv:2012.11101", "resizemix",
               "`sample_resizemix`, `fit_partner`", cost="{ResizeMix}", family="ResizeMix", draws=[
            Draw(resized, "images", gallery={"ResizeMix": near(scale=(0.6, 0.7))},
                 costs={"ResizeMix": {}, "ResizeMix, nearest": {"method": "nearest"}}),
            Draw(jm.sample_resizemix, tested=Tested(hard=True, alphas=()))]),
        Method("GridMix", "Baek 2021; column CutMix, SAINT, arXiv:2106.01342", "mix_batch",
               "`sample_gridmix`: cells, or each position", cost="{GridMix 4 x 4}", draws=[
            Draw(jm.sample_gridmix, gallery={"GridMix, 6 × 6": at(grid=(6, 6))}, tested=HARD,
                 costs={"GridMix 4 x 4": {"grid": (4, 4)}},
                 family={"GridMix 4 × 4": {"grid": (4, 4)}})]),
        Method("GridMixup", "[Dobrynin](https://github.com/IlyaDobrynin/GridMixup)", "mix_batch",
               "`sample_gridmixup`: a lattice of holes", cost="{GridMixup}", draws=[
            Draw(jm.sample_gridmixup, gallery={"GridMixup": at()}, costs={"GridMixup": {}},
                 family={"GridMixup": {}}, tested=HARD)]),
        Method("SmoothMix", "Lee 2020", "mix_batch", "`sample_smoothmix`: a Gaussian",
               cost="{SmoothMix}", draws=[
            Draw(jm.sample_smoothmix, gallery={"SmoothMix": near()}, costs={"SmoothMix": {}},
                 family={"SmoothMix": {}}, tested=Tested(alphas=()))]),
        Method("HMix and GMix", "Park 2022, arXiv:2208.09913", "mix_batch",
               "`sample_hmix`, `sample_gmix`", cost="{HMix}, {GMix}", draws=[
            Draw(jm.sample_hmix, gallery={"HMix": at()}, costs={"HMix": {}}, family={"HMix": {}},
                 tested=Tested(traced={"ratio": (0.5, 0.0, 1.0)})),
            Draw(jm.sample_gmix, gallery={"GMix": at()}, costs={"GMix": {}}, family={"GMix": {}},
                 tested=Tested())]),
        Method("CowMix", "French 2020, arXiv:2003.12022", "mix_batch", "`sample_cowmix`: blobs",
               cost="{CowMix}", draws=[
            Draw(jm.sample_cowmix, gallery={"CowMix": at()}, costs={"CowMix": {}},
                 family={"CowMix": {"sigma": (1.0, 4.0)}},
                 tested=Tested({"sigma": (1.0, 3.0)}, hard=True))]),
        Method("TokenMix's blocks", "Liu 2022, arXiv:2207.08409", "mix_batch",
               "`sample_tokenmix(grid=(14, 14))`", cost="{TokenMix}", draws=[
            Draw(jm.sample_tokenmix, gallery={"TokenMix": at(grid=(14, 14))},
                 costs={"TokenMix": {"grid": (14, 14)}},
                 family={"TokenMix": {"grid": (8, 8), "least": 4}},
                 tested=Tested({"least": 3}, hard=True))]),
        Method("MaskMix", "Zhao 2023, arXiv:2304.12043", "mix_batch",
               "`sample_gridmix(grid=, exact=True)`", cost="as GridMix", draws=[
            Draw(jm.sample_gridmix, gallery={"MaskMix": at(grid=(4, 4), exact=True)})]),
        Method("PatchUp", "Faramarzi 2020, arXiv:2006.07794", "",
               "`sample_patchup`, on hidden features", cost="{PatchUp, of inputs}, of inputs",
               draws=[
            Draw(jm.sample_patchup, gallery={"PatchUp": near(block=32, gamma=0.4)},
                 costs={"PatchUp, of inputs": {}},
                 tested=Tested({"block": 2}, hard=True, alphas=("gamma",)))]),
        Method("SpecMix", "Kim 2021, arXiv:2108.03020", "mix_batch",
               "`sample_specmix`: bands of time and frequency", cost="{SpecMix}", draws=[
            Draw(jm.sample_specmix, gallery={"SpecMix": at(bands=2)}, costs={"SpecMix": {}},
                 tested=Tested({"bands": 2}, hard=True))]),
        Method("FadeMixUp", "Kim 2020, arXiv:2008.05721", "mix_batch",
               "`sample_fademix`: weights linear along an axis", cost="{FadeMixUp}", draws=[
            Draw(jm.sample_fademix, gallery={"FadeMixUp": at(axis=2)}, costs={"FadeMixUp": {}},
                 tested=Tested(rank=1))]),
        Method("VH-mixup and 13 more", "Summers 2019, arXiv:1805.11272", "mix_batch",
               '`preset("vh-mixup")`, `sample_vhmixup`, `sample_noisymixup`', cost="{VH-mixup}",
               draws=[
            Draw(jm.sample_vhmixup, gallery={"VH-mixup": at()}, costs={"VH-mixup": {}},
                 family={"VH-mixup": {}}, tested=Tested()),
            *(Draw(jm.preset(name.replace(" × ", "x").replace(" ", "-")), gallery={name: at()})
              for name in BANK),
            Draw(jm.sample_gridmix, gallery={"random pixels": at()}, costs={"random pixels": {}}),
            Draw(jm.sample_noisymixup, gallery={"noisy mixup": at(noise=0.1)},
                 costs={"noisy mixup": {}}, tested=Tested())]),
        Method("SamplePairing", "Inoue 2018, arXiv:1801.02929", "mix_batch",
               '`preset("samplepairing")`', cost="as mixup", draws=[
            Draw(jm.preset("samplepairing"), gallery={"SamplePairing": near()},
                 family={"SamplePairing": {}})]),
        Method("RICAP", "Takahashi 2018, arXiv:1811.09030", "mix_batch",
               "`sample_ricap`: four examples", cost="{RICAP}", draws=[
            Draw(jm.sample_ricap, gallery={"RICAP": {"lam_law": LAM}}, costs={"RICAP": {}},
                 family={"RICAP": {}}, tested=SEVERAL)]),
        Method("k examples, averaged", "as in vmoe; Perch 2025, arXiv:2508.04665",
               "mix_batch", "`sample_dirichlet(k=3)`: a random number of them, sorted weights",
               cost="{3 rows, Dirichlet}", draws=[
            Draw(jm.sample_dirichlet, gallery={"4 rows, Dirichlet": {"k": 4}},
                 costs={"3 rows, Dirichlet": {}}, family={"three rows, Dirichlet": {"k": 3}},
                 tested=SEVERAL)]),
        Method("k examples, any masks", "", "", cost="{3 rows, boxes}",
               verb="`overlay(mix, mix, …)`: labels by what is visible of each", draws=[
            Draw(boxes, costs={"3 rows, boxes": {}}, family={"three rows, boxes": {}},
                 gallery={"4 rows, boxes": OVER})]),
        Method("ζ-mixup", "Abhishek 2022, arXiv:2204.03323", "",
               "`combine(weights, x)`, `zeta_weights`", cost="O(B²) for each value", draws=[
            Draw(ranked, gallery={"ζ-mixup": {}})]),
        Method("MultiMix", "Venkataramanan 2022, arXiv:2206.14868", "",
               "`combine(weights, h)`, `dirichlet_weights`", "features", "O(nB) for each value"),
        Method("anchor data augmentation", "Schneider 2023, arXiv:2311.06965", "",
               "`combine(weights, x)`, `anchor_weights`", "clusters", "O(B²) for each value"),
        Method("SpliceMix", "Wang 2023, arXiv:2311.15200", "splicemix",
               "", "key; more inputs, several labels", "a pass over the inputs", [
            Draw(spliced, "images", gallery={"SpliceMix": {}})]),
        Method("StackMix", "Chen 2022, arXiv:2011.12618", "stackmix", "", "key; inputs grow",
               family="StackMix", draws=[Draw(stacked, "images", gallery={"StackMix": {}})]),
        Method("RandomMix", "Liu 2022, arXiv:2205.08728", "randommix", "a switch of four recipes",
               cost="of what is drawn", family="RandomMix"),
        Method("RecursiveMix", "Yang 2022, arXiv:2203.06844", "recursivemix",
               "`fit_partner(other=)`, `pool_given`", "the last batch", "as ResizeMix"),
        Method("PixMix", "Hendrycks 2022, arXiv:2112.05135", "pixmix", "", "pictures, a view",
               "k + 1 views", [Draw(pixmixed, "images", gallery={"PixMix": {}})]),
        Method("AugMix", "Hendrycks 2020, arXiv:1912.02781", "",
               "`dirichlet_weights`, `symmetric_beta`, `jsd_loss`", "views",
               "2 forward, 2 backward", [Draw(averaged, "images", gallery={"AugMix": {}})]),
    ],
    "From labels, lengths, features": [
        Method("C-Mixup", "Yao 2022, arXiv:2210.05775", "mixup(pairing=)", "`by_label_kernel`",
               "targets", "O(B²)"),
        Method("Balanced-MixUp", "", "mixup(pairing=)", "`class_balanced`, `beta(1, α)`",
               "labels", "O(B²)"),
        Method("LISA", "Yao 2022, arXiv:2201.00299; selective mixup, Teney 2023, arXiv:2305.16817; "
               "MentorMix, Jiang 2020, arXiv:1911.09781", "mixup(pairing=)",
               "`by_weight(key, weights)`", "labels, domains, scores", "O(B²)"),
        Method("same class, other class", "", "mixup(pairing=)", "`within_class`, `across_class`",
               "labels", "O(B²)", [
            Draw(partial(paired, jm.within_class), "labels", family={"mixup, same class": {}}),
            Draw(partial(paired, jm.across_class), "labels", family={"mixup, other class": {}})]),
        Method("nearest neighbours", "", "mixup(pairing=)", "`nearest`", "features", "O(B²)", [
            Draw(partial(paired, jm.nearest), "images", family={"mixup, nearest 5": {"k": 5}})]),
        Method("local mixup", "Baena 2022, arXiv:2201.04368", "",
               "`keep_local(mix, features, radius=)`", "features", "O(B)", [
            Draw(local, "images", family={"Local Mixup": {}})]),
        Method("similarity kernel mixup", "Bouniot 2025, arXiv:2311.01434", "",
               "`warp_by_distance(mix, features)`", "features", "O(B)"),
        Method("k-mixup", "Greenewald 2021, arXiv:2106.02933", "mixup(pairing=)",
               "`transported(key, features, k=8)`", "features", "Sinkhorn, O(Bk)", [
            Draw(partial(paired, jm.transported), "images", family={"k-mixup, k = 8": {"k": 8}})]),
        Method("Remix", "Chou 2020, arXiv:2007.03943; MAMix, Cheng 2023, arXiv:2308.15457", "",
               "`remix`, `mamix`", "counts", "O(B)"),
        Method("BC+", "Tokozume 2018, arXiv:1711.10282", "",
               "`balance(mix, level)`, `restore_energy`", "loudness", "a pass over x"),
        Method("ClassMix", "Olsson 2021, arXiv:2007.07936", "",
               "`sample_classmix(key, ids, num_classes=)`", "an id map", draws=[
            Draw(classed, "images", gallery={"ClassMix": near()})]),
        Method("copy-paste", "Ghiasi 2021, arXiv:2012.07177", "",
               "`sample_copy_paste(key, ids, num_objects=)`, `mix_objects`", "an id map",
               "a pass over the map", [
            Draw(pasted, "spectral", gallery={"copy-paste": near(lam_law=jm.constant(0.0))})]),
        Method("Mix3D", "Nekrasov 2021, arXiv:2110.02210", "",
               "two scenes joined: [HOWTO](../HOWTO.md#point-clouds)", "points", "a copy"),
        Method("LaserMix", "Kong 2023, arXiv:2207.00026", "",
               "`sample_lasermix(key, points, valid)`, `place_partner`", "points", "a sort of N"),
        Method("PolarMix", "Xiao 2022, arXiv:2208.00223", "",
               "`sample_polarmix(key, points, valid)`, `rotate_points`", "points, objects",
               "a sort of 3N"),
        Method("PointCutMix", "Zhang 2022, arXiv:2101.01461; PointMixup, Chen 2020, "
               "arXiv:2008.06374", "", "`sample_pointcutmix(key, points, valid)`, `assign`",
               "points", "an auction: O(N²), 300 rounds"),
        Method("SSMix", "Yoon 2021, arXiv:2106.08062", "", "`sample_span(key, lengths, size)`",
               "lengths"),
        Method("padded or variable size, as NaFlex", "", "", "`keep_overlap(mix, valid)`",
               "what is valid", "a pass over the mask"),
        Method("MixStyle", "Zhou 2021, arXiv:2104.02008; MoEx, Li 2021, arXiv:2002.11102", "",
               "`blend_moments(mix, h, axes=)`", "features", "a pass over h", [
            Draw(partial(styled, jm.blend_moments), "images", gallery={"MixStyle": at()})]),
        Method("EFDMix", "Zhang 2022, arXiv:2203.07740", "",
               "`blend_quantiles(mix, h, axes=)`", "features", "two sorts of h", [
            Draw(partial(styled, jm.blend_quantiles), "images", gallery={"EFDMix": at()})]),
        Method("FDA", "Yang 2020, arXiv:2004.05498; FACT, Xu 2021, arXiv:2105.11120", "",
               "`blend_amplitude(mix, x, low=)`", "pictures of another domain, or the key",
               "an FFT and one back", [
            Draw(restyled, "images", gallery={"FDA": near(lam_law=jm.constant(0.0), low=0.02),
                                              "FACT": at()})]),
        Method("HID-MIX", "Chen 2024, arXiv:2301.02819; Catch-up Mix at random, Kang 2024, "
               "arXiv:2401.13193", "", "`sample_gridmix` over channels, `blend`", "features",
               "a pass over h"),
    ],
    "From saliency, attention": [
        Method("saliency itself", "", "", "`gradient_saliency(loss_fn, x)`, `spectral_residual(x)`",
               "a loss; x", "1 forward, 1 backward; an FFT"),
        Method("SaliencyMix", "Uddin 2021, arXiv:2006.01791", "",
               "`sample_saliencymix(key, saliency)`", "saliency", "{SaliencyMix}", [
            Draw(jm.sample_saliencymix, "spectral", gallery={"SaliencyMix": at()},
                 costs={"SaliencyMix": {}}, family={"SaliencyMix": {}}, tested=HARD)]),
        Method("CutMix that avoids objects", "as in Ultralytics", "",
               "`sample_avoiding_cutmix(key, ids > 0)`", "foreground or saliency",
               "k sums over the map", [
            Draw(jm.sample_avoiding_cutmix, "spectral", tested=HARD,
                 gallery={"CutMix, avoiding": at(candidates=16)},
                 costs={"CutMix, avoiding": {}})]),
        Method("Attentive CutMix", "Walawalkar 2020, arXiv:2003.13048", "",
               "`sample_attentive_cutmix`", "features", "{Attentive CutMix}; 1 forward", [
            Draw(jm.sample_attentive_cutmix, "features", gallery={"Attentive CutMix": near()},
                 costs={"Attentive CutMix": {}},
                 family={"Attentive CutMix": {"grid": (4, 4), "k": 2}},
                 tested=Tested({"lam_law": jm.uniform(0.0, 1.0), "k": 1}, hard=True, alphas=()))]),
        Method("GuidedMixup", "Kang 2023, arXiv:2306.16612", "",
               "`sample_guidedmixup`, `salient_pairs`", "saliency", "{GuidedMixup}", [
            Draw(jm.sample_guidedmixup, "spectral", gallery={"GuidedMixup": near(blur=8.0)},
                 costs={"GuidedMixup": {}}, tested=Tested(alphas=())),
            Draw(guided, "spectral", family={"GuidedMixup": {"blur": 1.0}},
                 costs={"GuidedMixup, salient pairs": {"blur": 1.8}})]),
        Method("Saliency Grafting", "Park 2022, arXiv:2112.08796", "", "`sample_grafting`",
               "saliency", "{Saliency Grafting}; 1 forward, 1 backward", [
            Draw(jm.sample_grafting, "gradient", gallery={"Saliency Grafting": at()},
                 costs={"Saliency Grafting": {}},
                 family={"Saliency Grafting": {"grid": (4, 4)}}, tested=WEIGHED)]),
        Method("SnapMix", "Huang 2021, arXiv:2012.04846", "",
               "`sample_snapmix`, `fit_partner(source=)`", "class activation",
               "{SnapMix}; 1 forward", [
            Draw(snapped, "images cam", gallery={"SnapMix": at()}, costs={"SnapMix": {}}),
            Draw(jm.sample_snapmix, "cam", tested=WEIGHED)]),
        Method("Puzzle Mix", "Kim 2020, arXiv:2009.06962", "",
               "`sample_puzzlemix`, `puzzle_transport`, `move_blocks`", "saliency",
               "{Puzzle Mix, 8 x 8}; 1 forward, 1 backward", [
            Draw(puzzled, "images gradient", gallery={"Puzzle Mix, transport": at(grid=(14, 14))},
                 costs={"Puzzle Mix, transport": {"grid": (8, 8)}}),
            Draw(jm.sample_puzzlemix, "gradient", costs={"Puzzle Mix, 8 x 8": {}},
                 family={"Puzzle Mix": {"grid": (4, 4), "iterations": 50}}, tested=Tested())]),
        Method("AlignMix", "Venkataramanan 2022, arXiv:2103.15375", "",
               "`align_partner(mix, h)`; `sinkhorn`", "features", "Sinkhorn over positions"),
        Method("TransMix", "Chen 2022, arXiv:2111.09833", "", "`transmix(mix, attention)`",
               "attention", "0 passes"),
        Method("TokenMix's labels", "", "", "`reweigh(mix, map)`", "a teacher's map",
               "1 forward, frozen"),
        Method("TL-Align", "Xiao 2023, arXiv:2210.06455", "", "`align_labels(mix, attentions)`",
               "all attention", "0 passes"),
        Method("MergeMix", "Jin 2026, arXiv:2510.23479", "",
               "`sample_attentive_cutmix` of the example itself", "attention of merged tokens",
               "1 forward"),
        Method("MixMAE", "Liu 2023, arXiv:2205.13137; MixToken, Jiang 2021, arXiv:2104.10858", "",
               "`same_source(mix)`, `unmix(mix, h)`", "tokens", "a mask of attention; a pass"),
        Method("SUMix", "Qin 2024, arXiv:2407.07805", "",
               "`sumix(mix, clean, mixed, labels)`, `sumix_penalty`", "logits, clean and mixed",
               "1 forward, 1 backward"),
        Method("SMMix", "Chen 2023, arXiv:2212.12977", "",
               "`sample_smmix`, `fit_partner(source=)`", "attention", "1 forward", [
            Draw(smmixed, "images attention", gallery={"SMMix": near()}, costs={"SMMix": {}}),
            Draw(jm.sample_smmix, "attention", tested=Tested(hard=True, alphas=()))]),
    ],
    "In the model, the loss, the schedule": [
        Method("manifold mixup", "Verma 2019, arXiv:1806.05236", "",
               "`blend_at(mix, h, layer=, at=)`: one compile for all layers", "one call a layer",
               "a select a layer"),
        Method("noisy features", "Lim 2022, arXiv:2110.02180", "", "`add_noise(key, h)`",
               "as above", "a pass over h"),
        Method("RegMixup", "Pinto 2022, arXiv:2206.14502", "", "`regmixup_loss`",
               "2B examples", "1 forward, 1 backward"),
        Method("MixupMP", "Wu 2024, arXiv:2403.12729", "",
               "`regmixup_loss(eta=r)`, or `sometimes(sampler, r / (1 + r))`", "2B examples",
               "1 forward, 1 backward"),
        Method("RankMixup", "Noh 2023, arXiv:2308.11990", "", "`rankmixup_loss`",
               "logits, clean and mixed", "1 to 3 forward, as many backward"),
        Method("decoupled mixup", "Liu 2023, arXiv:2203.10761", "", "`decoupled_loss`", "logits",
               "0 passes"),
        Method("MixupE", "Zou 2023, arXiv:2212.13381", "", "`mixupe_penalty`",
               "logits of clean examples", "1 forward, 1 backward"),
        Method("without hesitation", "Yu 2021, arXiv:2101.04342", "mix_batch",
               "`sometimes(sampler, prob)`, `hesitation(step, …)`", "the step", "as the sampler"),
        Method("mixup inference", "Pang 2020, arXiv:1909.11515", "mixup_inference", "",
               "clean examples, at test time", "15 to 30 forward"),
        Method("m²-mixup", "Oh 2023, arXiv:2203.03897", "", "`blend_sphere(mix, z, other=)`",
               "embeddings of two towers", "a pass over z"),
        Method("MoCHi", "Kalantidis 2020, arXiv:2010.01028", "mochi", "", "embeddings, a bank",
               "O(Bn) and a sort"),
        Method("Metrix", "Venkataramanan 2022, arXiv:2106.04990", "",
               "`blend(mix, z)`, `blend_labels(mix, same)`", "embeddings", "O(B²)"),
        Method("AdaMixUp", "Guo 2019, arXiv:1809.02499", "",
               "`learned.sample_adamixup`, `intrusion_loss`", "networks", "see its docstring"),
        Method("AutoMix", "Liu 2022, arXiv:2103.13027", "", "`learned.sample_automix`, `mask_loss`",
               "a mix block", "2 forward, 1 backward"),
        Method("AdAutoMix", "Qin 2024, arXiv:2312.11954", "",
               "`learned.sample_adautomix`, `adautomix_loss`", "a mix block",
               "3 forward, 1 backward"),
    ],
    "By verbs that are there: the cookbook": [
        Method(name, paper, "", verb, needs) for name, paper, verb, needs in RECIPES
    ],
}
# fmt: on


def methods() -> Iterator[Method]:
    return (method for section in CATALOGUE.values() for method in section)


def draws() -> Iterator[Draw]:
    return (draw for method in methods() for draw in method.draws)


def line(method: Method, cost: Callable[[str], str]) -> str:
    """A method as a line of Markdown, `cost` of the draws filled in."""
    title = f"{method.name}, {method.paper}".removesuffix(", ")
    title = re.sub(r"(\w+(?: \d{4})?), arXiv:(\d+\.\d+)", r"[\1](https://arxiv.org/abs/\2)", title)
    call = method.call if method.call in ("", "mix_batch") else f"`{method.call}`"
    spent = re.sub(r"\{([^}]+)\}", lambda name: cost(name[1]), method.cost)
    cells = (title, call, method.verb, method.needs, spent)
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def table(cost: Callable[[str], str]) -> str:
    """The table of `jax_mixup/samplers/README.md`; `cost` gives the time of a name of `costs`."""
    lines = ["| method | one call | sampler or verb | needs | cost |", "| --- " * 5 + "|"]
    for section, held in CATALOGUE.items():
        lines += [f"| **{section}** | | | | |", *(line(method, cost) for method in held)]
    return "\n".join(lines)
