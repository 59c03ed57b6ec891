"""SpliceMix, m²-mixup, MoCHi and Metrix against others' code, which `make_embeddings` ran."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup.recipes import splicemix
from tests.library.parity.cases import KEY, Case, cross_entropy, f32, i32, run, same


@pytest.mark.parametrize("k", range(5))
def test_splicemix(k, monkeypatch):
    """With the pictures and the dropped cells that they drew, and positions inside of pixels."""
    case = Case("splicemix")
    index, black = case[f"index_{k}"][None], case[f"black_{k}"]
    monkeypatch.setattr(splicemix, "permutation", lambda *_, **__: i32(index))
    monkeypatch.setattr(jax.random, "uniform", lambda *_: f32(1 - black))  # the smallest are black
    options = {"grid": tuple(case[f"grid_{k}"].tolist()), "n": 2, "drop": int(black[0].sum())}
    x = case.x if k < 3 else case.odd
    more, tags = run(lambda x, y: jm.splicemix(KEY, x, y, **options), x, case.y)
    same(more, case[f"mixed_{k}"])
    np.testing.assert_array_equal(tags, case[f"labels_{k}"])
    # As it is, their code samples from corner to corner: noise that is made smaller differs.
    assert np.abs(more - case[f"corners_{k}"]).mean() < 0.25


def test_m2mix():
    """Their four losses, by `blend_sphere` and the losses of contrastive learning."""
    case = Case("m2mix")
    place, own = jnp.arange(6), jnp.eye(6, dtype=bool)

    def ours(lam, pictures, texts):
        mix = jm.Mix(jm.reverse(), lam[None], jnp.full(6, lam))
        across = jm.blend_sphere(mix, pictures), jm.blend_sphere(mix, texts)
        between = jm.blend_sphere(mix, pictures, other=texts)
        losses = {}
        for name, logits in (("vmix", across[0] @ texts.T), ("lmix", pictures @ across[1].T)):
            each = jm.pair_loss(mix, cross_entropy, logits / 0.01, place)
            back = jm.pair_loss(jm.inverse(mix), cross_entropy, logits.T / 0.01, place)
            losses[name] = (each + back).mean() / 2
        both = jm.Mix(mix.partner, mix.mask, jnp.full(6, 0.5))  # they count both labels, as 1
        logits = across[0] @ across[1].T / 0.01
        each = [jm.pair_loss(both, cross_entropy, z, place) for z in (logits, logits.T)]
        losses["vlmix"] = (each[0] + each[1]).mean()
        negatives = [
            jnp.where(own, a @ b.T, a @ between.T) / 0.07
            for a, b in ((pictures, texts), (texts, pictures))
        ]
        losses["mmmix"] = sum(cross_entropy(logits, place).mean() for logits in negatives)
        return losses, across[0], across[1], between

    found = run(jax.vmap(ours, in_axes=(0, None, None)), case.lam, case.pictures, case.texts)
    for name, loss in found[0].items():
        np.testing.assert_allclose(loss, case[name], rtol=2e-5)
    for ours_, theirs in zip(found[1:], ("vmix_pos1", "lmix_pos1", "mmmix_neg1"), strict=True):
        same(ours_, case[theirs])


def test_mochi(monkeypatch):
    """With the entries of the bank that they picked, and their weights."""
    case = Case("mochi")
    order = np.argsort(-(case.q @ case.bank.T), axis=1)[:, :7]
    rank = lambda picked: (picked[:, :, None] == order[:, None]).argmax(axis=2)
    places = np.concatenate([rank(case[name]) for name in ("first", "second", "third")], axis=1)
    u = np.concatenate([case.gamma, case.alpha], axis=1)  # theirs is halved, too
    monkeypatch.setattr(jax.random, "randint", lambda *_: i32(places))
    monkeypatch.setattr(jax.random, "uniform", lambda *_: f32(u))
    found = run(
        lambda q, bank: jm.mochi(KEY, q, bank, hardest=7, pairs=5, with_query=3), case.q, case.bank
    )
    same(found, np.concatenate([case.pairs, case.with_query], axis=1))


@pytest.mark.parametrize("name", ["posneg", "neg"])
def test_metrix(name):
    """Their pairs of an anchor with a mix of one example of its class and one of another."""
    case = Case("metrix")
    anchor, own, other = (case[f"{name}_{part}"] for part in ("anchor", "own", "other"))
    alike = case.labels[:, None] == case.labels
    unit = lambda z: z / jnp.linalg.norm(z, axis=1, keepdims=True)

    def ours(lam, z):
        lam = jnp.full(len(anchor), lam)
        mix = jm.Mix(jm.reverse(), lam, lam)  # the partners are given
        mixed = jm.blend(mix, z[own], other=z[other])
        positive = jm.blend_labels(mix, f32(alike[own, anchor]), other=f32(alike[other, anchor]))
        distance = jnp.linalg.norm(unit(mixed) - unit(z[anchor]), axis=1)
        return positive * jax.nn.relu(distance), (1 - positive) * jax.nn.relu(0.5 - distance)

    losses = run(ours, case[f"{name}_lam"], case.z)
    for found, kind in zip(losses, ("positive", "negative"), strict=True):
        same(found, case[f"{name}_{kind}"], atol=1e-5)
