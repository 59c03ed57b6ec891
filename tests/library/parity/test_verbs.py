"""The recipes of COOKBOOK.md, word for word, against the code of their authors.

make_verbs.py and make_sequences.py made the numbers. Recipes take partners by reverse(): where
theirs are others, the batch is the examples, and then their partners in reverse order.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.cookbook import cooked
from tests.library.parity.cases import KEY, Case, f32, i32, same


def met(x, partners):
    """A batch in which reverse() gives each example of x this partner."""
    return jnp.concatenate([jnp.asarray(x), jnp.asarray(partners)[::-1]])


def linear(weight):
    """Logits of pictures, as theirs: from the mean of their channels."""
    return lambda x: x.mean((1, 2)) @ f32(weight)


def given_by(monkeypatch, function, value):
    """This function of jax.random gives the value."""
    monkeypatch.setattr(jax.random, function, lambda *_, **__: value)


def box(drawn):
    """λ and a centre, in 8 x 12 positions, as fractions."""
    lam, *centre = np.asarray(drawn).T
    return f32(lam), (np.array(centre).T + 0.01) / [8, 12]


@pytest.mark.parametrize("mode", ["absolute", "relative", "between"])
def test_oa_cutmix(draw, mode):
    """Where an example has no object, or none is visible, theirs do not keep the area."""
    case = Case("oacutmix")
    index, drawn = case[f"{mode}_index"], case[f"{mode}_drawn"]
    draw(*box(drawn))
    x, objects = f32(met(case.x, case.x[index])), met(case.objects, case.objects[index])
    given = {"labels": jnp.zeros(12, int), "model": linear(np.ones((3, 10)))}
    found = cooked("Labels by visible objects", key=KEY, images=x, objects=f32(objects), **given)
    same(jm.blend(found.mix, x)[:6], case[f"{mode}_mixed"])
    whole = case.objects.any((1, 2))
    visible = np.asarray(jm.blend(found.mix, f32(objects)).sum((1, 2)))[:6] > 0
    fits = whole & whole[index] & visible
    lam = np.asarray(getattr(found, mode).lam)[:6]
    same(lam[fits], case[f"{mode}_weight"][fits], atol=1e-5)
    assert fits.sum() >= 3 and not fits[1]
    area = np.asarray(found.mix.lam)[:6]
    same(lam[~visible], area[~visible])


def test_cmo(draw, monkeypatch):
    """The second loader's examples are the second half of the batch."""
    case = Case("cmo")
    draw(*box(case.drawn))
    monkeypatch.setattr(jm, "class_balanced", lambda *_: (jnp.arange(8) + 4) % 8)
    x, y = np.concatenate([case.x, case.x2]), np.concatenate([case.y, case.y2])
    given = {"images": f32(x), "labels": i32(y), "model": linear(case.weight)}
    found = cooked("Rare classes", key=KEY, **given)
    same(jm.blend(found.mix, f32(x))[:4], case.mixed)
    losses = jm.pair_loss(found.mix, found.cross_entropy, found.logits, i32(y))
    same(losses[:4].mean(), case.loss, atol=1e-5)


def test_cmo_draws_classes_equally_often():
    """The weights of their sampler, as frequencies of `class_balanced`."""
    case = Case("cmo")
    keys = jax.random.split(KEY, 500)
    drawn = jax.vmap(jm.class_balanced, in_axes=(0, None))(keys, i32(case.targets))
    found = np.bincount(np.ravel(drawn), minlength=8) / drawn.size
    np.testing.assert_allclose(found, case.chances / case.chances.sum(), atol=0.02)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixoe(draw, monkeypatch, name):
    case = Case("mixoe")
    drawn = case[f"{name}_drawn"]
    if name == "cutmix":
        draw(*box(drawn))
        cut = lambda key, _: jm.sample_cutmix(key, (4, 8, 12), box="even")
        monkeypatch.setattr(jm, "sample_mixup", cut)
    else:
        draw(f32(drawn))
    given = {"images": f32(case.x), "outliers": f32(case.outliers), "labels": i32(case.y)}
    found = cooked("Outliers", key=KEY, model=linear(case.weight), **given)
    same(found.mixed, case[f"{name}_mixed"])
    same(found.loss, case[f"{name}_loss"], atol=1e-5)


def test_dacs(monkeypatch):
    """With the classes that they paste; of three classes these are two."""
    case = Case("dacs")
    pasted = [set(ids[mask > 0].tolist()) for ids, mask in zip(case.ids, case.masks, strict=True)]
    assert [len(classes) for classes in pasted] == [2, 2, 2]
    u = [[0.9 if k in classes else 0.1 for k in range(10)] for classes in pasted]
    given_by(monkeypatch, "uniform", f32(u))
    given = {"images": f32(case.x), "images2": f32(case.x2), "ids": i32(case.ids)}
    models = {
        "segment": lambda x: x @ f32(case.student),
        "teacher": lambda x: x @ f32(case.teacher),
    }
    found = cooked("Another domain", key=KEY, **given, **models)
    np.testing.assert_array_equal(found.mix.mask, case.masks == 0)
    same(found.mixed, case.mixed)
    np.testing.assert_array_equal(found.target, case.targets)
    same(found.weights, case.weights)
    same(found.loss, case.loss, atol=1e-5)


def test_bcp(draw):
    """The loss without Dice's, which they take half of."""
    case = Case("bcp")
    draw(f32(1 - (2 / 3) ** 3), (case.place + 0.5) / (np.array([12, 12, 9]) - [8, 8, 6] + 1))
    given = {"volumes": f32(case.x), "volumes2": f32(case.x2)}
    given |= {"known": i32(case.known), "guessed": i32(case.guessed)}
    found = cooked("Few labelled volumes", key=KEY, segment=lambda x: x @ f32(case.weight), **given)
    same(jm.blend(found.mix, found.x, other=found.other_x), case.mixed)
    same(found.loss, case.loss, atol=1e-5)


def test_carvemix(monkeypatch):
    case = Case("carvemix")
    monkeypatch.setattr(jm, "permutation", lambda *_: i32(case.partner))
    by_partner = np.empty(6)
    by_partner[case.partner] = case.u  # theirs draw for each pair, the recipe for who is carved
    given_by(monkeypatch, "uniform", f32(by_partner[:, None, None]))
    given = {"images": f32(case.x)[..., None], "ids": i32(case.ids), "depth": f32(case.depth)}
    found = cooked("Lesions", key=KEY, **given)
    np.testing.assert_array_equal(found.mask, case.masks == 0)
    same(found.pasted[..., 0], case.mixed)
    np.testing.assert_array_equal(found.pasted_ids, case.labels)
    same(found.mix.lam, 1 - case.masks.mean((1, 2)))


def test_feat_mix(draw):
    case = Case("featmix")
    twice = lambda x: np.concatenate([x, x])
    draw(f32(1 - twice(case.rates)), 1 - twice(case.u).T)
    given = {"table": f32(met(case.x, case.x[case["index"]])), "information": f32(case.information)}
    found = cooked("Columns of a table", key=KEY, labels=jnp.zeros(12, int), **given)
    same(found.mixed[:6], case.mixed)
    same(found.mix.lam[:6], case.lam)


def test_r_mixup(draw):
    case = Case("rmixup")
    draw(f32(case.lam))
    given = {"spd": f32(met(case.x, case.x[case["index"]])), "labels": jnp.zeros(8, int)}
    found = cooked("Correlation matrices", key=KEY, **given)
    same(found.mixed[:4], case.mixed, atol=1e-5)
    assert np.linalg.eigvalsh(found.mixed).min() > 0


def test_mixspeech(draw):
    """Their pairs are 2i with 2i + 1; the second of a pair is not mixed into another."""
    case = Case("mixspeech")
    draw(f32(case.lam))
    pairs = lambda x: met(x[::2], x[1::2])
    given = {"spectra": f32(pairs(case.x)), "heard": f32(pairs(case.heard))}
    words = i32(pairs(case.words))
    found = cooked(
        "Speech with CTC", key=KEY, recognise=lambda x: x @ f32(case.weight), words=words, **given
    )
    same(jm.blend(found.mix, given["spectra"])[:3], case.mixed)
    np.testing.assert_array_equal(found.silent[:3] == 0, case.union)
    losses = jm.pair_loss(found.mix, found.ctc, found.logits, words)
    same(losses[:3].mean(), case.loss, atol=1e-4)


def test_seqmix(draw):
    """Their loss counts where the own row has a word."""
    case = Case("seqmix")
    draw(np.concatenate([case.lam, case.lam]))
    source, target = (i32(met(x[:, 0], x[:, 1])) for x in case.words)
    seen = {}

    def translate(x, y, read):
        seen.update(x=x, y=y)
        assert read.shape == source.shape
        return y @ f32(case.heads[0]) + (x.mean(1) @ f32(case.heads[1]))[:, None]

    tables = {"table_of_words": f32(case.table), "table_of_places": f32(case.places)}
    given = {"source": source, "target": target, "translate": translate}
    found = cooked("Sequence to sequence", key=KEY, **given, **tables)
    same(seen["x"][:3], case.read)
    same(seen["y"][:3], case.written)
    own = f32(np.asarray(target) > 0)
    same((found.losses * own)[:3].sum(), case.loss, atol=1e-4)


@pytest.mark.parametrize("name", ["sharp", "blurred"])
def test_cutblur(draw, monkeypatch, name):
    case = Case("cutblur")
    size, side = np.array([19, 9]), np.array([13, 6])  # round(0.7 n)
    draw(f32(1 - 0.7**2), (case[f"{name}_place"] + 0.5) / (size - side + 1))
    given_by(monkeypatch, "bernoulli", jnp.asarray(name == "sharp"))
    found = cooked("Super-resolution", key=KEY, images=f32(case.x), low=f32(case.low))
    same(found.inputs, case[f"{name}_mixed"])


def test_noisecutmix(draw):
    """The partner is in the box here, and the own class there: so they change places."""
    case = Case("noisecutmix")
    lam, centre = box(case.drawn[:, [0, 2, 1]])  # they draw the column first
    draw(lam, centre.T)
    prompts, latents = f32(case.prompts), f32(case.latents)

    def denoise(latents, classes):
        row = prompts[-1:] if classes is None else prompts[classes]
        return jnp.tanh(latents * row[:, None, None])

    labels = i32(case.labels)[::-1]
    for _ in range(3):
        found = cooked("Diffusion", key=KEY, latents=latents, labels=labels, denoise=denoise)
        latents = latents - 0.1 * found.noise
    np.testing.assert_array_equal(found.mix.mask, case.masks == 0)
    same(latents, case.made, atol=1e-4)
    same(1 - found.mix.lam, case.areas)
    same(
        found.soft,
        np.eye(10)[case.labels] * case.areas[:, None]
        + np.eye(10)[labels] * (1 - case.areas[:, None]),
    )
