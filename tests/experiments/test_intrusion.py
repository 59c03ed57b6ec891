"""A class between two others: the points by hand, the pictures, and the script."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments.core.seeds import epoch_trainer
from experiments.harness.runs import defining, read_runs
from experiments.intrusion import __main__ as intrusion
from experiments.intrusion import figures as regions
from tests.experiments import pinned

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)


def test_the_middle_class_is_on_the_segment_or_beside_it():
    for height, one_in in intrusion.GROUPS.values():
        data = intrusion.points(height, one_in, KEY)
        middle = 600 // one_in
        assert np.bincount(data.y).tolist() == [300 - middle // 2, 300 - middle // 2, middle]
        assert np.bincount(data.y_test).tolist() == [200, 200, 200]
        assert not data.wrong.any()
        for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
            for label, centre in enumerate(((-1, 0), (1, 0), (0, height))):
                own = np.asarray(x)[np.asarray(y) == label]
                error = 5 * 0.15 / np.sqrt(len(own))
                np.testing.assert_allclose(own.mean(0), centre, atol=error)
                np.testing.assert_allclose(own.std(0), 0.15, atol=error)
        assert not np.isin(np.asarray(data.x_test), np.asarray(data.x)).any()


def test_a_method_is_who_is_mixed_with_whom():
    data = intrusion.points(0.0, 3, KEY)
    x, y = data.x[::12], data.y[::12]  # 50 of all classes
    draw = jax.jit(lambda method: intrusion.draw(method, KEY, x, y))
    mixes = {name: draw(method) for name, method in intrusion.METHODS.items()}
    assert (mixes["plain"].lam == 1).all()
    assert all(0 < mix.lam[0] < 1 for name, mix in mixes.items() if "α=8" in name)
    assert (y[mixes["same class α=1"].partner] == y).all()
    assert (y[mixes["other class α=1"].partner] != y).all()
    squares = np.square(np.asarray(x)[:, None] - np.asarray(x)[None]).sum(-1)
    np.fill_diagonal(squares, np.inf)
    nearest = squares.argsort(axis=1)[:, :5]
    assert (nearest == np.asarray(mixes["nearest 5 α=8"].partner)[:, None]).any(1).all()
    assert np.bincount(mixes["mixup α=4"].partner).tolist() == [1] * 50
    own, warped, whole = mixes["per example α=1"], mixes["by distance α=1"], mixes["mixup α=1"]
    np.testing.assert_array_equal(own.partner, whole.partner)
    assert len(set(np.asarray(own.lam).tolist())) == 50 and len(set(whole.lam.tolist())) == 1
    square = np.square(np.asarray(x) - np.asarray(x)[own.partner]).sum(1)
    tau = np.exp(-(square / square.mean() - 1) / (2 * 0.5**2))
    expected = stats.beta.cdf(np.float64(own.lam), 1 / tau, 1 / tau)
    np.testing.assert_allclose(warped.lam, expected, atol=2e-4)
    np.testing.assert_array_equal(warped.lam, warped.mask)
    # The same draw of λ at each pairing: what differs is the partner.
    assert mixes["mixup α=1"].lam[0] == mixes["nearest 5 α=1"].lam[0]


def test_decisions_are_those_of_the_first_seed():
    study = epoch_trainer(intrusion.recipe_of, batch=50)
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    data = jax.vmap(partial(intrusion.points, 1.0, 3))(keys)
    decided = regions.decide(study, intrusion.Method(), data, 8)
    assert decided.shape == (len(regions.Y), len(regions.X))
    place = lambda x, y: decided[np.abs(regions.Y - y).argmin(), np.abs(regions.X - x).argmin()]
    assert (place(-1, 0), place(1, 0), place(0, 0.7)) == (0, 1, 2)


@pytest.mark.slow
def test_smoke(tmp_path):
    assert intrusion.main(intrusion.Config(smoke=True, out=tmp_path)) == 0
    pinned.check("intrusion", tmp_path / "smoke")
    settings = defining("intrusion", intrusion.Config(epochs=2))
    runs, others = read_runs(tmp_path / "smoke" / "runs.jsonl", settings)
    assert not others and len(runs) == 3 * 2 * len(intrusion.METHODS)
    for run in runs:
        both = 2 * run["outer_error"] + run["middle_error"]
        np.testing.assert_allclose(both / 3, run["last_error"], atol=1e-3)
    assert (tmp_path / "smoke" / "plot.png").stat().st_size > 20_000


def test_verdict():
    def runs(lost, off, within):
        errors = {
            (intrusion.MAIN, "plain"): 0,
            (intrusion.MAIN, "mixup α=1"): lost,
            (intrusion.MAIN, "same class α=1"): within,
            (intrusion.CONTROL, "plain"): 0,
            (intrusion.CONTROL, "mixup α=1"): off,
        }
        return [
            {"group": group, "method": method, "seed": seed, "middle_error": error + seed}
            for (group, method), error in errors.items()
            for seed in range(3)
        ]

    assert intrusion.RULE(runs(50, 0, 0)).endswith("Pass rule: PASS.")
    for errors in ((20, 0, 0), (50, 2, 0), (50, 0, 2)):
        assert intrusion.RULE(runs(*errors)).endswith("Pass rule: FAIL.")
    both = intrusion.verdicts(runs(50, 0, 0))
    assert "Pass rule: PASS. Gain" in both and both.endswith("Second pass rule: FAIL.")  # no runs


def test_the_second_verdict():
    def second(warped, own, mixup):
        methods = {"plain": 0, "by distance α=1": warped, "per example α=1": own}
        return intrusion.DISTANCE_RULE(
            [
                {"group": intrusion.MAIN, "method": name, "seed": s, "middle_error": error + s}
                for name, error in (methods | {"mixup α=1": mixup}).items()
                for s in range(3)
            ]
        )

    assert second(0.9, 30.5, 40).endswith("PASS.")
    for errors in ((1.1, 40, 40), (0, 29, 40), (0, 40, 29)):
        assert second(*errors).endswith("FAIL.")
