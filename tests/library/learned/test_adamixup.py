"""AdaMixup: the formula in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jax_mixup import learned
from tests.library.learned.by_hand import apply, softmax
from tests.library.statistics import within

KEY = jax.random.key(0)


def test_adamixup_is_the_formula():
    seen = []

    def encoder(x):
        seen.append(np.asarray(x))
        return x.reshape(x.shape[0], -1)

    region = learned.PolicyRegion(encoder, 3, rngs=nnx.Rngs(0))
    nnx.update(region, jax.tree.map(lambda p: 300 * p, nnx.state(region)))
    x = jax.random.normal(KEY, (2000, 3)).astype(jnp.bfloat16)
    mix = learned.sample_adamixup(KEY, region, x)
    z = apply(region.last, apply(region.hidden, seen[0].astype(np.float64)))
    shares = softmax(z)
    u = (np.asarray(mix.lam) - shares[:, 0]) / shares[:, 1]
    wide = shares[:, 1] > 0.01
    assert wide.sum() > 500 and u[wide].min() > -1e-2 and u[wide].max() < 1.01
    within(u[wide], 0.5)
    within(u[wide] ** 2, 1 / 3)
    np.testing.assert_array_equal(mix.mask, mix.lam)
    own = np.asarray(x, np.float32)
    assert np.abs(seen[0]).max() <= np.abs(own).max() * 2  # (ξ₁ x + ξ₂ x_p) / 2, |ξ| <= 2
    # E ξ² of N(0, 1) cut off at 2 is 1 - 2·2 φ(2) / (2 Φ(2) - 1) = 0.7737
    within(seen[0] ** 2 - 0.7737 * (own**2 + own[::-1] ** 2) / 4, 0.0)
