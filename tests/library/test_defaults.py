"""Defaults are what was published."""

import inspect

import pytest

import jax_mixup as jm

# What the authors' papers or code have, by what the functions' docstrings cite.
PUBLISHED = {
    jm.sample_mixup_or_cutmix: dict(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=0.5, prob=1.0),
    jm.mixup_or_cutmix: dict(mixup_alpha=0.8, cutmix_alpha=1.0),  # DeiT
    jm.sample_cutmix: dict(alpha=1.0, box="clipped", axes=None),
    jm.sample_resizemix: dict(scale=(0.1, 0.8)),
    jm.sample_ricap: dict(alpha=0.3),
    jm.sample_fmix: dict(alpha=1.0, decay=3.0),
    jm.sample_cowmix: dict(alpha=1.0, sigma=(4.0, 16.0)),
    jm.sample_smoothmix: dict(sigma=(0.25, 0.5)),
    jm.sample_noisymixup: dict(noise=0.025),
    jm.sample_hmix: dict(alpha=1.0, ratio=0.5),
    jm.sample_gridmixup: dict(holes=(2, 6)),
    jm.sample_tokenmix: dict(alpha=1.0, grid=None, least=14),
    jm.sample_patchup: dict(gamma=0.5, block=7),
    jm.sample_snapmix: dict(alpha=5.0),
    jm.sample_lasermix: dict(areas=(3, 4, 5, 6), pitch=(-25.0, 3.0)),  # MMDetection3D's files
    jm.sample_polarmix: dict(swap_prob=0.5, paste_prob=1.0, copies=3),
    jm.sample_pointcutmix: dict(alpha=1.0),
    jm.assign: dict(epsilon=0.005, iterations=300),  # PointCutMix
    jm.sample_copy_paste: dict(alpha=1.0),  # MMDetection: each number of objects is as likely
    jm.sample_avoiding_cutmix: dict(candidates=3),  # Ultralytics
    jm.sample_attentive_cutmix: dict(grid=(7, 7), k=6),
    jm.sample_guidedmixup: dict(blur=1.8),
    jm.sample_smmix: dict(sides=(0.25, 0.75)),
    jm.sample_puzzlemix: dict(alpha=1.0, labels=3, beta=1.2, gamma=0.5, eta=0.2),
    jm.puzzle_transport: dict(eps=0.8),
    jm.recursivemix: dict(share=0.5),
    jm.randommix: dict(probs=(0.25, 0.25, 0.25, 0.25), alphas=(1.0,)),
    jm.remix: dict(kappa=3.0, tau=0.5),
    jm.mamix: dict(omega=0.25),
    jm.transmix: dict(area=0.5),
    jm.add_noise: dict(additive=0.4, multiplicative=0.2),
    jm.mixup_inference: dict(which="other", lam=0.5, samples=30),
    jm.regmixup_loss: dict(eta=1.0),
    jm.zeta_weights: dict(gamma=2.8),
    jm.anchor_weights: dict(gamma=2.0),
    jm.warp_by_distance: dict(tau_max=1.0, tau_std=0.5),
    jm.rankmixup_loss: dict(form="mndcg", margin=2.0),  # CIFAR
    jm.sumix: dict(scale=100.0),  # CIFAR: the batch size
    jm.sumix_penalty: dict(scale=100.0),
    jm.splicemix: dict(grid=(2, 2), drop=0),  # their minimal setting
    jm.pixmix: dict(k=4, beta=3.0),  # CIFAR
    jm.spectral_residual: dict(size=64, blur=2.5),
}


@pytest.mark.parametrize("function", PUBLISHED, ids=lambda function: function.__name__)
def test_defaults_are_those_that_were_published(function):
    found = inspect.signature(function).parameters
    defaults = {name: found[name].default for name in PUBLISHED[function]}
    assert defaults == PUBLISHED[function]
