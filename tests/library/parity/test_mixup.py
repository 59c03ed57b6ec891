"""mixup, its partners, labels and losses, against the code of their authors."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from jax_mixup import distributions
from tests.library.parity.cases import (
    FILES,
    KEY,
    Case,
    cross_entropy,
    f32,
    i32,
    methods,
    mixup,
    run,
    same,
)
from tests.pages import TEXTS


def test_each_file_says_where_its_numbers_come_from():
    each = [np.ravel(Case(path.stem).source) for path in FILES.glob("*.npz")]
    assert len(each) >= 45
    sources = [str(source) for source in np.concatenate(each)]
    for source in sources:
        (repository, commit), what = source.split(" ", 1)[0].split("@"), source.split(" ", 1)[1]
        assert "/" in repository and ".py" in what
        assert len(commit) == 40 or commit.startswith(("timm-", "mmdet-"))  # a released wheel


def test_each_file_has_the_function_that_made_it():
    """NAME.npz is from NAME(root) of one script make_*.py."""
    made = [
        node.name
        for path in FILES.glob("make_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    ]
    for path in FILES.glob("*.npz"):
        assert made.count(path.stem) == 1, f"{path.stem} is made by {made.count(path.stem)}"


def test_the_pages_say_how_many_methods_are_compared():
    number = len(methods())
    for page, words in (
        ("README.md", "{} methods give what published code"),
        ("jax_mixup/samplers/README.md", "(`tests/library/parity`): {} methods"),
    ):
        text = " ".join(TEXTS[page].split())
        assert words.format(number) in text, f"{page} should say {number} methods"


def test_mixup():
    case = Case("mixup")

    def ours(lam):
        law = jm.constant(lam)
        mix = jm.sample_mixup(KEY, (4, 8, 12), lam_law=law, pairing=i32(case.index))
        loss = jm.pair_loss(mix, cross_entropy, f32(case.logits), i32(case.y))
        return jm.blend(mix, f32(case.x)), loss.mean()

    mixed, loss = run(ours, case.lam)
    same(mixed, case.mixed)
    same(loss, case.loss)


def test_manifold_mixup():
    case = Case("manifold")

    def ours(layer):
        mix = mixup(case.index, case.lam)
        labels = jm.blend_labels(mix, i32(case.y), num_classes=3)
        return [jm.blend_at(mix, f32(case.h), layer=layer, at=at) for at in (1, 2)], labels

    (first, second), labels = run(ours, 2)
    same(first, case.h)
    same(second, case.mixed)
    same(labels, case.labels)


@pytest.mark.parametrize("name", ["mixmatch", "dividemix", "imix"])
def test_the_larger_share_is_the_rows_own(name, monkeypatch):
    case = Case(name)

    def ours(drawn):
        monkeypatch.setattr(distributions, "symmetric_beta", lambda *_: drawn)
        index = i32(case.index)
        law = jm.folded_beta(0.75)
        mix = jm.sample_mixup(KEY, index.shape, lam_law=law, per="example", pairing=index)
        soft = f32(case.get("labels", np.eye(4)))
        return jm.blend(mix, f32(case.x)), jm.blend_labels(mix, soft), mix.lam

    mixed, labels, lam = run(ours, np.broadcast_to(case.drawn, len(case.x)))
    same(mixed, case.mixed)
    if name == "imix":
        same(lam, case.lam)
    else:
        same(labels, case.mixed_labels)


def test_mixreg():
    """Theirs swaps the two rows where λ < ½, so that the first one always leads: the sums are the
    same, and the action is that of the larger weight. Observations there are cut to uint8, here
    rounded.
    """
    case = Case("mixreg")
    names = ("oldneglogpac", "oldvpred", "r", "adv")

    def ours(lam):
        mix = jm.Mix(i32(case.permutation), lam, lam)
        seen = jnp.asarray(case.observations)
        actions = jm.select(jm.Mix(mix.partner, lam > 0.5, lam), i32(case.a))
        numbers = jm.blend_labels(mix, {name: f32(case[name]) for name in names})
        return [jm.blend(mix, seen, dtype=d) for d in (jnp.float32, jnp.uint8)], numbers, actions

    (exact, rounded), numbers, actions = run(ours, case.drawn)
    cut = exact - case.mixed_observations
    assert cut.min() > -1e-3 and cut.max() < 1 + 1e-3
    np.testing.assert_array_equal(rounded, np.round(exact))
    for name in names:
        same(numbers[name], case["mixed_" + name])
    np.testing.assert_array_equal(actions, case.mixed_a)


def test_balanced_mixup():
    """λ there is the weight of the class-balanced example, here the example's own."""
    case = Case("balancedmixup")

    def ours(lam):
        mix = mixup(np.arange(4), 1 - lam)
        soft = jax.nn.one_hot(i32(case.balanced_y), 3)
        labels = jm.blend_labels(mix, i32(case.y), other=soft, num_classes=3)
        return jm.blend(mix, f32(case.x), other=f32(case.balanced)), labels

    mixed, labels = run(ours, case.lam)
    same(mixed, case.mixed)
    same(labels, case.labels)


def test_regmixup():
    """Theirs is the mean over all 2B rows, the clean ones first: half of ours."""
    case = Case("regmixup")

    def ours(lam):
        mix = mixup(case.index, lam)
        loss = jm.regmixup_loss(mix, cross_entropy, f32(case.logits), i32(case.y))
        return loss.mean(), jm.blend(mix, f32(case.logits[:4]))  # their model is linear

    loss, mixed = run(ours, case.lam)
    same(loss / 2, case.loss)
    same(mixed, case.logits[4:], atol=1e-5)


def test_decoupled_mixup():
    case = Case("decoupled")

    def ours(eta):
        mix = mixup(case.index, case.lam)
        logits, ids = f32(case.logits), i32(case.y)
        return [
            jm.decoupled_loss(mix, logits, ids, eta=eta[i], power=float(power))
            for i, power in enumerate(case.power)
        ]

    same(run(ours, case.eta), case.loss, atol=1e-5)


def test_mixupe():
    """Before they scale the sum back to the size of the mixup loss."""
    case = Case("mixupe")

    def penalty(logits, threshold):
        ids, alpha = i32(case.y), float(case.alpha)
        return jm.mixupe_penalty(logits, ids, alpha=alpha, threshold=threshold).mean()

    def ours(logits):
        return [jax.value_and_grad(penalty)(logits, float(t)) for t in case.thresholds]

    for (value, grad), tag in zip(run(ours, case.logits), ("1_0", "0_25"), strict=True):
        same(value, case["penalty_" + tag])
        same(grad, case["grad_" + tag])


def test_mixup_without_hesitation():
    ours = jax.vmap(lambda epoch: jm.hesitation(epoch, steps=100, turn=1))
    same(run(ours, np.arange(100)), Case("mwh").probability)


def test_remix_and_mamix():
    """λ in the code of MAMix is the partner's fraction of the input."""
    remix, mamix = Case("remix"), Case("mamix")
    np.testing.assert_array_equal(remix.index, mamix.index)

    def ours(lam):
        mix = mixup(remix.index, lam)
        labels, counts = i32(remix.y), i32(remix.counts)
        new = [jm.remix(mix, labels, counts).lam, jm.mamix(mix, labels, counts, omega=0.25).lam]
        return jm.blend(mix, f32(remix.x)), *new

    (mixed, lam, _), (other_mixed, _, other_lam) = (
        run(jax.vmap(ours), lams) for lams in (remix.lam, 1 - mamix.partner_share)
    )
    same(mixed, remix.mixed)
    same(lam, remix.lam_y)
    same(other_mixed, mamix.mixed)
    same(other_lam, mamix.lam_y)


def test_between_class_learning():
    """How loud the two are is an input of ours: the deviation of images; for sound theirs, which
    is A-weighted, in decibels.
    """
    images, sounds = Case("bc_plus"), Case("bc_sound")

    def ours(r, x, level):
        mix = jm.balance(mixup([1, 0], r), level)
        labels = jm.blend_labels(mix, i32([0, 2]), num_classes=3)
        return jm.restore_energy(mix, jm.blend(mix, x))[0], labels[0]

    def both(of_images, of_sounds, x, sound, gain):
        seen = jax.vmap(ours, (0, None, None))(of_images, x, x.std(axis=(1, 2, 3)))
        return seen, jax.vmap(ours, (0, None, None))(of_sounds, sound, 10 ** (gain / 20))[0]

    (seen, labels), heard = run(both, images.r, sounds.r, images.x, sounds.x, sounds.gain_db)
    same(seen, images.mixed, atol=1e-5)
    same(labels, images.label)
    same(heard, sounds.mixed, atol=1e-5)


def test_local_mixup():
    """Theirs weighs a pair's loss by exp(-0.0005 distance), ours drops pairs beyond a radius."""
    case = Case("localmixup")
    distance = -np.log(case.weight) / 0.0005
    radius = np.array([distance.min() - 1, np.sort(distance)[1] + 0.5, distance.max() + 1])

    def ours(radius):
        mix, x = mixup(case.index, case.lam), f32(case.x)
        return jm.blend(mix, x), jm.keep_local(mix, x, radius=radius).lam

    mixed, lam = run(jax.vmap(ours), radius)
    same(mixed[0], case.mixed)
    same(lam, np.where(distance <= radius[:, None], case.lam, 1.0))


def test_c_mixup(monkeypatch):
    case = Case("cmixup")

    def ours(bandwidths):
        seen = []

        def spy(key, logits, axis):
            seen.append(jax.nn.softmax(logits, axis))
            return logits.argmax(axis)

        monkeypatch.setattr(jax.random, "categorical", spy)
        for i in range(len(case.bandwidth)):
            jm.by_label_kernel(KEY, f32(case.targets), bandwidths[i])
        return seen

    same(run(ours, case.bandwidth), case.probability, atol=1e-5)
