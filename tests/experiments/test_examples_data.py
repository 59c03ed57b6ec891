"""The examples of loaders, several towers and sequences, by hand; and the notebook runs."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jax_mixup as jm
from experiments import examples
from experiments.benchmarks.hlo import COLLECTIVES, Program
from experiments.examples import clip, grain_host, grain_step, naflex_vit, packed_text, siglip

FOLDER = Path(examples.__file__).parent
KEY = jax.random.key(0)


# CLIP and SigLIP: a mixed picture i has the texts i and p(i), by λᵢ and 1 - λᵢ.

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 6)), jnp.float32)
LAM = jnp.asarray(np.random.default_rng(1).uniform(0.1, 0.9, 6), jnp.float32)
PAIRINGS = {
    "roll": jm.roll(),
    "reverse": jm.reverse(),
    "index": jnp.array([1, 0, 1, 1, 5, 2]),  # 1 is the partner of three, 3 and 4 of none
}


def weights(mix):
    own, n = np.asarray(mix.lam), len(mix.lam)
    matrix = np.diag(own)
    np.add.at(matrix, (np.arange(n), np.asarray(jm.partner_index(mix.partner, n))), 1 - own)
    return matrix


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name", PAIRINGS)
def test_clip_by_hand(name):
    mix, z = jm.Mix(PAIRINGS[name], LAM, LAM), np.asarray(LOGITS, np.float64)
    to_text, to_picture = weights(mix), weights(mix).T
    to_picture /= to_picture.sum(axis=1, keepdims=True)
    wanted = (to_text * log_softmax(z)).sum() + (to_picture * log_softmax(z.T)).sum()
    np.testing.assert_allclose(clip.clip_loss(mix, LOGITS), -wanted / 12, rtol=1e-5)


@jax.jit
def value_and_gradient(mix):
    return jax.value_and_grad(lambda z: clip.clip_loss(mix, z))(LOGITS)


@jax.jit
def by_columns(mix, back):
    """CLIP's loss with `pair_loss` in both directions, and its gradient."""

    def losses(mix, z):
        log_p, places = jax.nn.log_softmax(z), jnp.arange(len(z))
        return jm.pair_loss(mix, lambda log_p, i: -log_p[places, i], log_p, places).mean()

    return jax.value_and_grad(lambda z: (losses(mix, z) + losses(back, z.T)) / 2)(LOGITS)


def test_transposed_logits_need_the_inverse_of_the_mix():
    """With the same mix they are right for mutual pairs that share λ, and wrong for others."""
    shared, mutual = jnp.full(6, 0.3), jm.Mix(jm.reverse(), jnp.full(1, 0.3), jnp.full(6, 0.3))
    rolled, ones = jm.Mix(jm.roll(), LAM, LAM), jm.Mix(jm.roll(), shared, shared)
    for mix, same_mix_is_right in ((mutual, True), (rolled, False), (ones, False)):
        value, gradient = value_and_gradient(mix)
        for back, right in ((jm.inverse(mix), True), (mix, same_mix_is_right)):
            other_value, other_gradient = by_columns(mix, back)
            assert bool(abs(other_value - value) < 1e-6) is right
            assert bool(abs(other_gradient - gradient).max() < 1e-6) is right


@pytest.mark.parametrize("name", PAIRINGS)
def test_siglip_by_hand(name):
    mix, z = jm.Mix(PAIRINGS[name], LAM, LAM), np.asarray(LOGITS, np.float64)
    answer, probability = weights(mix), 1 / (1 + np.exp(-z))
    wanted = answer * np.log(probability) + (1 - answer) * np.log(1 - probability)
    np.testing.assert_allclose(siglip.siglip_loss(mix, LOGITS), -wanted.sum() / 6, rtol=1e-5)


def collectives(module, model, loss, *, mixing):
    """How many of each kind a step on 8 devices has, and their bytes."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rows, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    batch = jax.device_put(module.captioned(np.random.default_rng(0), 64), rows)
    graph, params = nnx.split(model)

    def step(params, key, images, texts):
        pairing = jm.pairing_for(64, shards=8)
        mix = jm.sample_mixup(key, images.shape[:1], per="example", pairing=pairing)
        mixed = jm.blend(mix, images, dtype=jnp.float32) if mixing else images
        logits = lambda params: nnx.merge(graph, params)(module.normalise(mixed), texts)
        return jax.grad(lambda params: loss(mix, logits(params)))(params)

    placed = jax.device_put(params, everywhere)
    compiled = jax.jit(step, out_shardings=everywhere).lower(placed, KEY, *batch).compile()
    program = Program(compiled)
    kinds = Counter(i["opcode"].removesuffix("-start") for i in program.instructions())
    return {kind: kinds[kind] for kind in COLLECTIVES if kinds[kind]}, program.collectives()


def without_mixing(mix, logits):
    places = jnp.arange(len(logits))
    texts, pictures = jax.nn.log_softmax(logits), jax.nn.log_softmax(logits, axis=0)
    return -(texts[places, places].mean() + pictures[places, places].mean()) / 2


@pytest.mark.slow
def test_mixing_adds_one_small_all_reduce_to_clip():
    model = clip.Clip(rngs=nnx.Rngs(0))
    plain, plain_bytes = collectives(clip, model, without_mixing, mixing=False)
    mixed, mixed_bytes = collectives(clip, model, clip.clip_loss, mixing=True)
    assert plain["all-reduce"] > 0 and set(mixed) <= set(plain)
    assert mixed["all-reduce"] <= plain["all-reduce"] + 1
    assert sum(mixed_bytes.values()) <= sum(plain_bytes.values()) + 8 * 64


@pytest.mark.slow
def test_mixing_adds_no_collective_to_siglip():
    model = siglip.SigLip(rngs=nnx.Rngs(0))
    plain = lambda mix, logits: siglip.sigmoid_loss(logits, jnp.arange(len(logits))).mean()
    before = collectives(siglip, model, plain, mixing=False)
    assert before[0]["all-reduce"] > 0
    assert collectives(siglip, model, siglip.siglip_loss, mixing=True) == before


# Grain


@pytest.mark.parametrize("step", [0, 2])
def test_any_number_of_hosts_reads_the_same_batches(step):
    source = grain_step.Examples(seed=0, count=20)  # an epoch ends within batch 2
    batches = {}
    for hosts in (1, 2, 4):
        loaders = [grain_step.loader(source, 8, host=host, hosts=hosts) for host in range(hosts)]
        parts = [next(grain_step.started(loader, step)) for loader in loaders]
        jax.tree.map(np.testing.assert_array_equal, parts[0], loaders[0][step])
        batches[hosts] = jax.tree.map(lambda *parts: np.concatenate(parts), *parts)
    assert batches[1]["image"].dtype == np.uint8 and batches[1]["label"].dtype == np.int32
    for hosts in (2, 4):
        jax.tree.map(np.testing.assert_array_equal, batches[hosts], batches[1])


def test_on_the_host_the_number_of_the_batch_is_the_key():
    source = grain_host.Examples(seed=0, count=12)
    mix = jax.jit(partial(jm.mixup_or_cutmix, num_classes=8, dtype=jnp.uint8))
    loader = grain_host.loader(source, 8)
    again = iter(loader[1:].to_iter_dataset(grain.ReadOptions(num_threads=1)))
    for number in (1, 2):  # 2 is of the second epoch
        raw = grain_step.loader(source, 8, host=0, hosts=1)[number]
        wanted = mix(jax.random.fold_in(jax.random.key(1), number), raw["image"], raw["label"])
        for batch in (loader[number], next(again)):
            assert type(batch["image"]) is np.ndarray and batch["image"].dtype == np.uint8
            assert (batch["image"] != raw["image"]).any()
            np.testing.assert_allclose(batch["label"], wanted[1], atol=1e-6)
            np.testing.assert_array_equal(batch["image"], wanted[0])
    # The two hosts' parts are the batches in turn.
    second = grain_host.loader(source, 16, host=1, hosts=2)
    np.testing.assert_array_equal(second[0]["image"], loader[1]["image"])


# NaFlex


def test_patches_are_mixed_at_the_same_place_of_a_canvas():
    """All patches of each picture in the middle of a canvas, mixed there."""
    patches, where, valid, _ = naflex_vit.examples(np.random.default_rng(0), 10)
    side = naflex_vit.SIDE
    mix, mixed = jax.jit(naflex_vit.mix_patches)(KEY, patches, where, valid)
    pictures, filled = np.zeros((10, side, side, naflex_vit.DIM)), np.zeros((10, side, side), bool)
    places = []
    for i in range(10):
        own = where[i][valid[i]]
        places.append((i, *(own + (side - own.max(axis=0) - 1) // 2).T))
        pictures[places[i]], filled[places[i]] = patches[i][valid[i]], True

    def on_canvas(pictures, filled):
        mix = jm.sample_mixup_or_cutmix(KEY, filled.shape, per="example")
        mix = jm.keep_overlap(mix, filled)
        return mix.lam, jm.blend(mix, pictures)

    lam, wanted = map(np.asarray, jax.jit(on_canvas)(pictures.astype(np.float32), filled))
    np.testing.assert_allclose(mix.lam, lam, rtol=1e-6)
    assert len(np.unique(mix.lam)) > 5 and mix.lam.min() < 0.5
    for i in range(10):
        np.testing.assert_allclose(mixed[i][valid[i]], wanted[places[i]], rtol=1e-5, atol=1e-3)
        assert (np.asarray(mixed[i])[~valid[i]] == 0).all()


# Packed text


@pytest.fixture(scope="module")
def text():
    """Logits of a small decoder as a jitted function of words, under the union of the masks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        model = packed_text.Decoder(rngs=nnx.Rngs(0))
    seen = {}

    def watch(inputs, positions, attend, mix):
        seen["attend"] = attend
        return model(inputs, positions, attend, mix)

    def losses(mix, *batch):
        found = packed_text.losses_and_hits(watch, mix, *batch)
        return found, seen["attend"], watch(batch[0], batch[3], seen["attend"], mix)

    return jax.jit(losses)


BATCH = packed_text.packed(np.random.default_rng(0), 4)
HALF = jm.Mix(jm.reverse(), jnp.array([0.5, 1.0, 0.5, 0.5]), jnp.array([0.5, 1.0, 0.5, 0.5]))


def test_attention_is_the_union_and_never_sees_the_future(text):
    documents = BATCH[2]
    attend = np.asarray(text(HALF, *BATCH)[1])
    earlier = np.tri(packed_text.LENGTH, dtype=bool)
    own = (documents[:, :, None] == documents[:, None, :]) & (documents > 0)[:, None] & earlier
    wanted = own | own[::-1]
    wanted[1] = own[1]  # λ = 1
    assert (own != wanted).any(axis=(1, 2)).tolist() == [True, False, True, True]
    np.testing.assert_array_equal(attend[:, 0], wanted)


def test_words_reach_only_later_places_of_both_rows(text):
    logits = np.asarray(text(HALF, *BATCH)[2])
    inputs = BATCH[0].copy()
    inputs[0, 10] = inputs[0, 10] % 31 + 1
    changed = (np.asarray(text(HALF, inputs, *BATCH[1:])[2]) != logits).any(axis=2)
    assert changed[[0, 3], 10].all() and not changed[1:3].any()
    assert not changed[:, :10].any()


def test_losses_of_words_by_hand(text):
    (loss, hits), _, logits = text(HALF, *BATCH)
    logits, targets, lam = np.asarray(logits, np.float64), BATCH[1], np.asarray(HALF.lam)
    log_p, best = log_softmax(logits.reshape(-1, packed_text.WORDS)), logits.argmax(axis=2)
    log_p, total, right, count = log_p.reshape(logits.shape), 0.0, 0.0, 0.0
    for row, place in np.ndindex(targets.shape):
        for weight, other in ((lam[row], row), (1 - lam[row], 3 - row)):
            if word := targets[other, place]:
                total -= weight * log_p[row, place, word]
                right += weight * (best[row, place] == word)
                count += weight
    np.testing.assert_allclose((loss, hits), (total / count, right / count), rtol=1e-5)


# Keras


@pytest.mark.slow
def test_each_step_of_keras_draws_its_own_mix(monkeypatch):
    from experiments.examples import keras_jax  # it imports Keras, once it has named the backend

    monkeypatch.setattr(
        keras_jax.keras.Model, "train_step", lambda self, state, data: data, raising=False
    )
    model, (images, labels) = keras_jax.make_model(), keras_jax.data(seed=0, count=8)
    step = jax.jit(lambda number: model.train_step((None, None, [number], None), (images, labels)))
    found = [step(jnp.int32(number)) for number in (0, 1)]
    assert abs(found[0][1] - found[1][1]).max() > 0.1
    for number in (0, 1):
        wanted = jax.jit(jm.mixup_or_cutmix)(jax.random.fold_in(KEY, number), images, labels)
        same = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3)
        jax.tree.map(same, found[number], wanted)


# The notebook

NOTEBOOK = json.loads((FOLDER / "tour.ipynb").read_text())
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_small_and_holds_no_outputs():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids) <= 24
    for cell in NOTEBOOK["cells"]:
        assert cell["cell_type"] in ("code", "markdown") and cell["source"]
        assert len("".join(cell["source"]).splitlines()) <= 24
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.slow
def test_the_notebook_runs(capsys):
    names = {"__name__": "tour"}
    with matplotlib.rc_context({"backend": "Agg"}):
        for source in CODE:
            exec(compile(source, "tour.ipynb", "exec"), names)
        names["plt"].close("all")
    losses = names["losses"]
    assert np.mean(losses[-20:]) < 0.8 * losses[0] and names["scores"].min() > 0.85
    assert capsys.readouterr().out.endswith("examples move between devices: False\n")
