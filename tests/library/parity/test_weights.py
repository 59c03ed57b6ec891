"""Rows by a matrix, and λ by distance, against their authors' code, which `make_weights` ran."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.parity.cases import KEY, Case, cross_entropy, f32, i32, run, same


def test_zeta_mixup(monkeypatch):
    """With the order that they drew."""
    case = Case("zetamixup")
    rank = np.argsort(np.argsort(-case.weights, axis=1), axis=1)
    numbers = f32(np.argsort(rank, axis=1))  # whose argsort is the rank

    def ours(x):
        monkeypatch.setattr(jax.random, "uniform", lambda *_: numbers)
        weights = jm.zeta_weights(KEY, 6)
        return weights, *jm.combine(weights, (x, i32(case.y)), num_classes=4)

    for found, theirs in zip(
        run(ours, case.x), (case.weights, case.mixed, case.labels), strict=True
    ):
        same(found, theirs)


def test_anchor_data_augmentation():
    case = Case("anchor")

    def ours(x, y, gamma):
        weights = jm.anchor_weights(i32(case.clusters), gamma=gamma)
        return jm.combine(weights, (x, y))

    for gamma, mixed, targets in zip(case.gammas, case.mixed, case.targets, strict=True):
        found = run(ours, case.x, case.y, gamma)
        same(found[0], mixed)
        same(found[1], targets)


def test_similarity_kernel_mixup():
    case = Case("simkernel")

    def ours(index, lam, peak, width):
        mix = jm.Mix(index.astype(jnp.int32), lam, lam)
        mix = jm.warp_by_distance(mix, f32(case.feats), tau_max=peak, tau_std=width)
        return jm.blend(mix, f32(case.x)), jm.blend_labels(mix, i32(case.y), num_classes=4)

    found = run(jax.vmap(ours), case.index, case.lam, case.tau_max, case.tau_std)
    same(found[0], case.mixed)
    same(found[1], case.labels)


@pytest.mark.parametrize("name, step", [("label", 1), ("domain", 2)])
def test_lisa(name, step):
    """Their pairs are such that the weights allow, and mix as theirs."""
    case = Case("lisa")
    group = np.arange(12) // 3  # of their loaders: label 0 in domains 0 and 1, then label 1
    label, domain = group // 2, group % 2
    as_label, as_domain = label[:, None] == label, domain[:, None] == domain
    weights = as_label & ~as_domain if name == "label" else as_domain & ~as_label
    partner = 3 * (group ^ step) + np.arange(12) % 3  # theirs: place i of the other loader
    assert weights[np.arange(12), partner].all()
    drawn = np.asarray(jm.by_weight(KEY, weights))
    assert (drawn // 3 == partner // 3).all()  # ours: any place of the other loader
    first = np.flatnonzero(group < (group ^ step))  # they mix each pair once
    lam = np.zeros(12, np.float32)
    lam[first] = case[f"{name}_lam"].reshape(-1)

    def ours(lam):
        mix = jm.Mix(i32(partner), lam, lam)
        return jm.blend(mix, f32(case.x.reshape(12, 2, 5, 5))), jm.blend_labels(
            mix, f32(case.y.reshape(12, 2))
        )

    mixed, labels = run(ours, lam)
    same(mixed[first], case[f"{name}_mixed"])
    same(labels[first], case[f"{name}_labels"])


def test_mentormix():
    """The lines of HOWTO, with the partners and the λ that theirs drew."""
    case = Case("mentormix")
    same(jax.nn.softmax(case.trust), case.chances)

    def ours(lam, trust, after):
        lam = jnp.where(trust >= 0.5, lam, 1 - lam)
        mix = jm.Mix(i32(case.index), lam, lam)
        mixed = jm.blend(mix, f32(case.x))
        logits = mixed.mean((1, 2)) @ f32(case.weight)
        return mixed, (after * jm.pair_loss(mix, cross_entropy, logits, i32(case.y))).mean()

    mixed, loss = run(ours, case.drawn.max(axis=1), case.trust, case.after)
    same(mixed, case.mixed)
    same(loss, case.loss)


def test_their_published_setting_draws_by_tau():
    """The τ of their inverse_beta_cdf, as HOWTO.md computes it for `alpha=`."""
    case = Case("simkernel")
    for index, peak, width, theirs in zip(
        case.index, case.tau_max, case.tau_std, case.tau, strict=True
    ):
        distance = np.square(case.feats - case.feats[index]).sum(1)
        same(peak * np.exp((1 - distance / distance.mean()) / (2 * width**2)), theirs)
