"""The promise on draws: for a key, every version of the library and of JAX draws the same mixes.

`draws.npz` has what the functions drew. `python -m tests.library.test_draws` adds new ones. Where a
change of the library means to change draws, `python -m tests.library.test_draws mixup beta` pins
those of the named functions again, and CHANGELOG.md gets a line.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jax_mixup as jm
from tests.library.methods import METHODS
from tests.library.test_laws import drawn, method, methods  # noqa: F401 (a fixture)

FILE = Path(__file__).with_name("draws.npz")
KEY = jax.random.key(7)
IDS = jnp.arange(8) % 3
SCANS = (
    jnp.sin(jnp.arange(144.0)).reshape(4, 12, 3),
    jnp.arange(12)[None] < jnp.array([12, 9, 10, 7])[:, None],
)

SEVERAL = {
    "dirichlet": lambda: jm.sample_dirichlet(KEY, (6,), per="example"),
    "dirichlet-sorted": lambda: jm.sample_dirichlet(KEY, (6,), count=2, sort=True, per="example"),
    "ricap": lambda: jm.sample_ricap(KEY, (6, 5, 7), alpha=1.0, per="example"),
}
OTHERS = {
    "symmetric_beta": lambda: jm.symmetric_beta(KEY, 0.4, (8,)),
    "beta": lambda: jm.beta(1.2, 0.2)(KEY, (8,)),
    "folded_beta": lambda: jm.folded_beta(0.4)(KEY, (8,)),
    "uniform": lambda: jm.uniform(0.2, 0.6)(KEY, (8,)),
    "affine_uniform": lambda: jm.affine_uniform(0.3)(KEY, (8,)),
    "permutation": lambda: jm.permutation(KEY, 8),
    "permutation-groups": lambda: jm.permutation(KEY, 8, groups=2),
    "derangement": lambda: jm.derangement(KEY, 8),
    "within_class": lambda: jm.within_class(KEY, IDS),
    "across_class": lambda: jm.across_class(KEY, IDS),
    "class_balanced": lambda: jm.class_balanced(KEY, IDS),
    "by_label_kernel": lambda: jm.by_label_kernel(KEY, jnp.arange(8.0), 1.0),
    "by_weight": lambda: jm.by_weight(KEY, jnp.arange(64.0).reshape(8, 8) % 5),
    "zeta_weights": lambda: jm.zeta_weights(KEY, 6),
    "dirichlet_weights": lambda: jm.dirichlet_weights(KEY, 3, 4, alpha=0.7),
    "splicemix": lambda: jm.splicemix(
        KEY, jnp.arange(8.0)[:, None, None] + jnp.zeros((1, 4, 4)), jnp.eye(8), n=3, drop=1
    )[0],
    "mochi": lambda: jm.mochi(
        KEY, jnp.eye(3), jnp.eye(3)[:, ::-1], hardest=2, pairs=2, with_query=1
    ),
    "pixmix": lambda: jm.pixmix(
        KEY, jnp.full((8, 2), 0.3), jnp.full((8, 2), 0.6), lambda key, x: x + 0.1
    ),
    "lasermix": lambda: jm.sample_lasermix(KEY, *SCANS)[1],
    "lasermix-sectors": lambda: jm.sample_lasermix(KEY, *SCANS, sectors=4)[1],
    "polarmix": lambda: jm.sample_polarmix(KEY, *SCANS, instances=SCANS[1])[2],
    "pointcutmix": lambda: jm.sample_pointcutmix(KEY, *SCANS)[0].mask,
    "pointcutmix-random": lambda: jm.sample_pointcutmix(KEY, *SCANS, region="random")[0].mask,
    "add_noise": lambda: jm.add_noise(KEY, jnp.ones((2, 4))),
}


def of_method(method):  # noqa: F811
    """λ of all examples, and the masks of two, from the program that the laws compile."""
    mask, lam = drawn(method)["example"]
    return {"lam": lam[0], "mask": mask[0, :2]}


def of_the_rest():
    layers = {
        f"{name}.{j}": layer.lam for name, draw in SEVERAL.items() for j, layer in enumerate(draw())
    }
    return layers | {name: draw() for name, draw in OTHERS.items()}


def same(found, expected, name):
    found = np.asarray(found)
    assert found.dtype == expected.dtype, name
    # Versions of XLA add in another order.
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=name)


@methods
def test_the_draws_of_each_method(method):  # noqa: F811
    with np.load(FILE) as pinned:
        for part, array in of_method(method).items():
            same(array, pinned[f"{method.name}.{part}"], method.name)


def test_the_draws_of_the_rest():
    with np.load(FILE) as pinned:
        for name, array in jax.jit(of_the_rest)().items():
            same(array, pinned[name], name)


def test_nothing_is_pinned_that_is_gone():
    names = {f"{m.name}.{part}" for m in METHODS for part in ("lam", "mask")}
    names |= set(jax.eval_shape(of_the_rest))
    with np.load(FILE) as pinned:
        assert set(pinned) == names, "python -m tests.library.test_draws pins the new ones"


def main(names):
    """Pin what is not pinned yet, and what is named; drop what is gone."""
    found = {f"{m.name}.{part}": a for m in METHODS for part, a in of_method(m).items()}
    found |= jax.tree.map(np.asarray, jax.jit(of_the_rest)())
    with np.load(FILE) as pinned:
        kept = {name: pinned[name] for name in pinned if name.split(".")[0] not in names}
    np.savez_compressed(FILE, **{name: kept.get(name, array) for name, array in found.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
