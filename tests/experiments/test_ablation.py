"""The variants of mixup by hand, and the script that compares them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_mixup as jm
from experiments.ablation import __main__ as ablation
from experiments.ablation import variants
from experiments.ablation.variants import ANY, LAMS, MIXED, PARTNERS, variant
from experiments.harness.runs import by_seed, defining, read_runs
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 40)
X = jax.random.uniform(KEY, (12, 2, 2, 1))
Y = jnp.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 5])  # one example is alone in its class


def test_what_each_row_learns_from():
    """Inputs and targets of a pair at λ = 0.25 and 0.75, from the formulas."""
    lam = np.array([0.25, 0.75], np.float32)
    mix = jm.Mix(jnp.array([1, 0]), jnp.asarray(lam), jnp.asarray(lam))
    x, y = np.array([[0.0, 8.0], [4.0, 4.0]], np.float32), np.eye(2, dtype=np.float32)
    blended = lambda w, rows: w[:, None] * rows + (1 - w[:, None]) * rows[::-1]
    expected = {
        "both": (blended(lam, x), blended(lam, y)),
        "inputs only": (blended(lam, x), y),
        "labels only": (x, blended(lam, y)),
        # Both examples of the pair are nearer to the second one.
        "argmax": (blended(lam, x), np.array([[0.0, 1.0], [0.0, 1.0]])),
    }
    assert expected.keys() == MIXED.keys()
    for name, (inputs, targets) in expected.items():
        changed = MIXED[name](mix)
        np.testing.assert_array_equal(jm.blend(changed, jnp.asarray(x)), inputs, name)
        np.testing.assert_array_equal(jm.blend_labels(changed, jnp.asarray(y)), targets, name)


def test_who_is_whose_partner():
    squares = np.square(np.asarray(X)[:, None] - np.asarray(X)[None]).sum((2, 3, 4))
    np.fill_diagonal(squares, np.inf)
    y, own = np.asarray(Y), np.arange(12)
    found = {
        name: np.asarray(jax.vmap(lambda key, rule=rule: rule(key, X, Y))(KEYS))
        for name, rule in PARTNERS.items()
    }
    assert (np.sort(found["shuffled"]) == own).all()
    assert (found["reversed"] == own[::-1]).all()
    same, other = found["same class"], found["other class"]
    assert (y[same] == y).all() and (same[:, :11] != own[:11]).all()
    assert (y[other] != y).all()
    for i in own:
        assert set(found["nearest 5"][:, i]) == set(squares[i].argsort()[:5])
    near = found["nearest of class"][0]
    within = np.where(y[:, None] == y, squares, np.inf)
    np.testing.assert_array_equal(near, np.where(own == 11, 11, within.argmin(1)))


def test_laws_of_lam():
    """How often each is drawn, and its mean and variance."""
    draws = {name: np.asarray(lams(name, 2.0)) for name in LAMS if name != "weight law"}
    draws["weight law"] = np.asarray(lams("weight law", 0.25))
    moments = {name: (draw[:, 0].mean(), draw[:, 0].var()) for name, draw in draws.items()}
    beta = (0.5, 1 / 20)
    expected = {"per batch": beta, "per pair": beta, "per example": beta}
    expected |= {"Beta(α + 1, α)": (3 / 5, 1 / 25), "weight law": (0.5, 0.25 / 12)}
    for name, values in expected.items():
        np.testing.assert_allclose(moments[name], values, rtol=0.1, err_msg=name)
    for name, draw in draws.items():
        distinct = {"per example": 12, "per pair": 6}.get(name, 1)
        assert all(len(set(row)) == distinct for row in draw[:20]), name
    assert (draws["per pair"] == draws["per pair"][:, ::-1]).all()
    assert draws["weight law"].min() >= 0.25 and draws["weight law"].max() <= 0.75


def lams(name, alpha):
    partners = "reversed" if name == "per pair" else "shuffled"
    draw = lambda key: variants.draw(variant(alpha, partners, name), key, X, Y).lam
    return jax.jit(jax.vmap(draw))(jax.random.split(KEY, 3000))


@pytest.mark.slow
def test_one_label_expects_the_loss_of_mixup():
    """E over Beta(α, α) of both labels' loss is E over Beta(α + 1, α) of the own one's."""

    def loss(chosen, key):
        mix = variants.draw(chosen, key, X, Y)
        # A loss that is linear in the target, as cross-entropy is, and in nothing else.
        logits = jnp.sin(5 * jm.blend(mix, X)).reshape(12, 4) @ jnp.ones((4, 6)) * jnp.arange(6.0)
        return -(jax.nn.log_softmax(logits) * jm.blend_labels(mix, Y, num_classes=6)).sum(1).mean()

    keys = jax.random.split(KEY, 4000)
    both, own = (
        jax.vmap(lambda key, c=c: loss(c, key))(keys)
        for c in (variant(2.0), variants.one_label(2.0))
    )
    error = float(jnp.sqrt((both.var() + own.var()) / 4000))
    assert abs(float(both.mean() - own.mean())) < 4 * error
    hard = jax.vmap(lambda key: loss(variant(2.0, mixed="inputs only"), key))(keys)
    assert abs(float(both.mean() - hard.mean())) > 8 * error  # so it could have failed


def test_the_rows_are_what_they_say():
    rows = {name: method.variant for name, method in ablation.METHODS.items()}
    draw = jax.jit(lambda row: variants.draw(row, KEY, X, Y))
    mixes = {name: draw(row) for name, row in rows.items()}
    for name, mix in mixes.items():
        plain = rows[name].alpha == 0
        assert bool((mix.mask == 1).all()) == (plain or name.startswith("labels only")), name
        hard = plain or name.startswith(("inputs", "one label", "argmax"))
        assert bool(jnp.isin(mix.lam, jnp.array([0.0, 1.0])).all()) == hard, name
    assert (mixes["weight law κ=0.5"].lam == 0.5).all()
    assert (Y[mixes["same class"].partner] == Y).all()
    assert ablation.METHODS["inputs only, smoothing 0.4"].smoothing == 0.4
    assert ablation.METHODS["argmax, weight decay 1"].weight_decay == 1
    assert ablation.METHODS["any layer, α=8"].layer == ANY


def test_features_are_mixed_where_the_layer_says_with_one_program():
    """Against a tap by hand; ANY takes each of the layers, another one for another batch."""
    model = variants.AnyLayerMLP(4, 8, 3, rngs=nnx.Rngs(0))
    mix = jm.Mix(jm.reverse(), jnp.array([0.3]), jnp.full(12, 0.3))
    traced = []

    @jax.jit
    def mixed(layer, key):
        traced.append(layer)
        tap = lambda i, h: jnp.where(layer == i, jm.blend(mix, h), h)
        return model(X, train=True, key=key, tap=tap)

    def by_hand(layer):
        h = X.reshape(12, 4)
        for i, dense in enumerate((model.first, model.second, model.last)):
            h = dense(0.3 * h + 0.7 * h[::-1] if i == layer else h)
            h = h if i == 2 else jnp.maximum(h, 0)
        return h

    hands = [by_hand(layer) for layer in range(variants.LAYERS)]
    for layer, hand in enumerate(hands):
        np.testing.assert_allclose(mixed(layer, KEY), hand, atol=1e-5)
    taken = set()
    for key in KEYS:
        errors = [float(jnp.abs(mixed(ANY, key) - hand).max()) for hand in hands]
        assert min(errors) < 1e-5
        taken.add(int(np.argmin(errors)))
    assert taken == {0, 1, 2}
    assert len(traced) == 1
    np.testing.assert_allclose(model(X), by_hand(-1), atol=1e-5)


@pytest.mark.slow
def test_smoke(tmp_path):
    assert ablation.main(ablation.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("ablation", tmp_path / "smoke")
    rows = [name for name in ablation.METHODS if name != "dropout 0.5"]
    settings = defining("ablation", ablation.Config(epochs=2))
    runs, others = read_runs(tmp_path / "smoke" / "runs.jsonl", settings)
    assert not others and len(runs) == 2 * 2 * len(rows)
    errors = {name: by_seed(runs, "40 % noise", name, "nll") for name in rows}
    assert all(errors[name] != errors["plain"] for name in rows if name != "plain")
    assert (tmp_path / "smoke" / "plot.png").stat().st_size > 20_000


def test_verdict():
    def runs(**errors):
        return [
            {"group": ablation.MAIN, "method": name, "seed": seed, "last_error": error + seed}
            for name, error in errors.items()
            for seed in range(3)
        ]

    good = {"mixup α=1": 10, "inputs only": 15, "argmax": 12, "one label": 11}
    assert ablation.RULE(runs(**good)).endswith("Pass rule: PASS.")
    for worse in ({"inputs only": 10}, {"argmax": 9}, {"one label": 13}):
        assert ablation.RULE(runs(**(good | worse))).endswith("Pass rule: FAIL.")
