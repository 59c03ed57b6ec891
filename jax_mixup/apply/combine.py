"""Rows by a matrix, X̃ = W X and Ỹ = W Y: any number of outputs, each a sum of all examples."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Integer, PRNGKeyArray, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._blending import WIDE
from jax_mixup._draws import log_gamma
from jax_mixup._entry import one_program, public


@public
def combine(
    weights: Shaped[ArrayLike, "n b"],
    x: PyTree,
    *,
    num_classes: int | None = None,
    dtype: DTypeLike | None = None,
) -> PyTree:
    """Combine the examples of a batch by the rows of a matrix: inputs, features, labels.

        x̃ᵢ = Σⱼ wᵢⱼ xⱼ,  ỹᵢ = Σⱼ wᵢⱼ yⱼ

    It is one product of matrices in float32 (float64 and complex arrays in their own dtype), so
    unlike under `blend` a NaN of weight 0 is NaN. If rows of the weights sum to 1, so do those of
    the labels. For few partners of each example a `Mix` is faster: `from_weights`.

    On many devices let the rows of `weights` be sharded as the batch: then the examples are
    gathered, as floats, and the weights stay where they are. Weights that are drawn in the step
    need `jax.lax.with_sharding_constraint(weights, rows)`, on Explicit axes `jax.sharding.reshard`.
    Without that the compiler may split the sum, and add up all outputs on every device.

    Args:
      weights: f[N, B], as `zeta_weights`, `dirichlet_weights` or `anchor_weights` give them, or any
        other; N is the number of outputs, also more than B.
      x: arrays [B, ...], or a PyTree of them. Integers [B] are class ids, if `num_classes` is
        given.
      num_classes: K, for class ids. An id outside [0, K), such as an ignore id, becomes zeros.
      dtype: dtype of the results, but for class ids; the default is that of x. Integers that are
        not class ids need a float dtype.

    Returns:
      Arrays [N, ...]; f32[N, K] for class ids.

    Raises:
      TypeError: If `weights` are not floating point, if x is integer or bool and neither `dtype`
        nor `num_classes` is given, or if `dtype` is not a float dtype.
      ValueError: If `weights` do not have two axes, or if x has another B.

    Example:
      >>> weights = jnp.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
      >>> batch = {"x": jnp.array([0.0, 4.0, 8.0]), "y": jnp.array([0, 1, 1])}
      >>> mixed = jm.combine(weights, batch, num_classes=2)
      >>> mixed["x"].tolist(), mixed["y"].tolist()
      ([2.0, 7.0], [[0.5, 0.5], [0.0, 1.0]])
    """
    weights = jnp.asarray(weights)
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        raise TypeError(
            f"combine got weights of dtype {weights.dtype}; it needs floats: for one example each "
            "call take_partner."
        )
    if weights.ndim != 2:
        raise ValueError(
            f"combine got weights of shape {weights.shape}; it needs (N, B), a row for each output."
        )
    if num_classes is not None:
        _checks.classes("combine", num_classes)

    def leaf(path: tuple, x: ArrayLike) -> Array:
        name, x = "x" + jax.tree_util.keystr(path), jnp.asarray(x)
        if x.ndim == 0 or x.shape[0] != weights.shape[1]:
            raise ValueError(
                f"combine got {name} of shape {x.shape} for weights of shape {weights.shape}; it "
                f"needs {weights.shape[1]} examples, the batch first."
            )
        if num_classes is not None and x.ndim == 1 and jnp.issubdtype(x.dtype, jnp.integer):
            return _combined(weights, _checks.int32(x), jnp.float32, int(num_classes))
        out = jnp.dtype(x.dtype if dtype is None else dtype)
        if not jnp.issubdtype(out, jnp.inexact):
            raise TypeError(
                f"combine got {name} of dtype {x.dtype} and dtype={dtype}; it needs a float dtype, "
                "such as dtype=jnp.float32, or num_classes for class ids of shape (B,)."
            )
        return _combined(weights, x, out, None)

    return jax.tree_util.tree_map_with_path(leaf, x)


@one_program("out", "classes")
def _combined(
    weights: Float[Array, "n b"], x: Shaped[Array, "b ..."], out: DTypeLike, classes: int | None
) -> Shaped[Array, "n ..."]:
    if classes is not None:
        x = jax.nn.one_hot(x, classes, dtype=jnp.float32)
    wide = x.dtype if x.dtype in WIDE else jnp.float32
    product = jnp.tensordot(
        weights.astype(wide), x.astype(wide), axes=1, precision=jax.lax.Precision.HIGHEST
    )
    return product.astype(out)


@public
def zeta_weights(key: PRNGKeyArray, batch: int, *, gamma: ArrayLike = 2.8) -> Float[Array, "b b"]:
    """Draw the weights of ζ-mixup: each example most of itself, and of all others in random order.

        wᵢⱼ ∝ rᵢⱼ^-γ,  rᵢᵢ = 1, and rᵢⱼ = 2, …, B in random order for j ≠ i

    Args:
      key: a PRNG key.
      batch: B, the number of examples.
      gamma: γ >= 0: 0 averages the batch, infinity mixes nothing, and from 1.73 on the example
        itself weighs more than all others together. It may be traced; a traced negative one or NaN
        mixes nothing.

    Returns:
      f32[B, B] for `combine`, whose rows sum to 1. Costs O(B²), a sort of each row.

    Raises:
      ValueError: If `batch` is not an int >= 1, or if a static `gamma` is negative.

    Example:
      >>> [round(float(weight), 2) for weight in jm.zeta_weights(jax.random.key(0), 3)[0]]
      [0.84, 0.04, 0.12]

    Abhishek et al. 2022, arXiv:2204.03323. The authors' code rolls each random order until the
    example itself is first, which gives the same distribution.
    """
    batch = _checks.whole("zeta_weights", "batch", batch, 1)
    _checks.numbers("zeta_weights", "gamma", gamma, "a number >= 0", 0.0)
    gamma = _checks.shaped("zeta_weights", "gamma", jnp.asarray(gamma).astype(jnp.float32), ())
    order = jnp.argsort(jax.random.uniform(key, (batch, batch), jnp.float32), axis=1)
    own = jnp.eye(batch, dtype=bool)
    # The rank that the example itself got is exchanged; a diagonal would ask other devices for it.
    first = jnp.where(own, order, 0).sum(axis=1, keepdims=True, dtype=order.dtype)
    rank = jnp.where(own, 1, jnp.where(order == 0, first, order)).astype(jnp.float32)
    on = gamma >= 0
    logits = jnp.where(own, 0.0, -jnp.where(on, gamma, 1.0) * jnp.log1p(rank))
    return jnp.where(on, jax.nn.softmax(logits, axis=1), own.astype(jnp.float32))


@public
def dirichlet_weights(
    key: PRNGKeyArray, n: int, batch: int, *, alpha: ArrayLike = 1.0
) -> Float[Array, "n b"]:
    """Draw weights of all examples of the batch, for any number of outputs, as MultiMix does.

        wᵢ ~ Dirichlet(α, …, α) over the B examples, i = 1, …, n

    MultiMix draws thousands of such rows for the features before the last layer, where an output is
    cheap. A small α keeps most of the weight on one or two examples.

    Args:
      key: a PRNG key.
      n: the number of rows, that is, of outputs.
      batch: B, the number of examples.
      alpha: α, the concentration: one number, or one for each row, f[n]. It may be traced. Infinity
        averages the batch; where it is 0, or traced and negative or NaN, row i is example i mod B
        alone.

    Returns:
      f32[n, B] for `combine`, whose rows sum to 1.

    Raises:
      ValueError: If `n` or `batch` is not an int >= 1, if `alpha` has another shape than () or
        (n,), or if a static `alpha` is negative.

    Example:
      >>> weights = jm.dirichlet_weights(jax.random.key(0), 1000, 4)
      >>> weights.shape, round(float((weights.max(axis=1) > 0.5).mean()), 1)
      ((1000, 4), 0.5)

    Venkataramanan et al. 2022, arXiv:2206.14868.
    """
    name = "dirichlet_weights"
    n, batch = _checks.whole(name, "n", n, 1), _checks.whole(name, "batch", batch, 1)
    _checks.alpha(name, "alpha", alpha)
    a = jnp.asarray(alpha).astype(jnp.float32)
    if a.shape not in ((), (n,)):
        raise ValueError(f"{name} got alpha of shape {a.shape}; it needs one number, or ({n},).")
    a = jnp.broadcast_to(a, (n,))[:, None]
    weights = jax.nn.softmax(log_gamma(key, jnp.broadcast_to(a, (n, batch))), axis=1)
    weights = jnp.where(a < jnp.inf, weights, jnp.float32(1 / batch))
    row, column = (jnp.arange(size, dtype=jnp.int32) for size in (n, batch))
    alone = (row % batch)[:, None] == column[None, :]
    return jnp.where(a > 0, weights, alone.astype(jnp.float32))


@public
def anchor_weights(
    clusters: Integer[ArrayLike, "b"], *, gamma: ArrayLike = 2.0
) -> Float[Array, "b b"]:
    """Compute the weights of anchor data augmentation: each example is moved to its cluster's mean.

        W = (I + (√γ - 1) P) / √γ,  Pᵢⱼ = [cᵢ = cⱼ] / #{k : cₖ = cᵢ}

    For γ < 1 examples move away from the mean, and some weights are negative. It is for regression:
    inputs and targets move together. Draw γ for each step, log-uniformly from 1/a to a.

    Args:
      clusters: ids of the clusters, i[B], also negative: those of k-means over inputs and targets,
        or of the nearest of a few examples. Without x64 JAX wraps NumPy's int64 to 32 bits.
      gamma: γ > 0; 1 is off. It may be traced; a traced one that is not positive, or NaN, is off.

    Returns:
      f32[B, B] for `combine`, whose rows sum to 1.

    Raises:
      TypeError: If `clusters` are not integer ids of shape (B,).
      ValueError: If a static `gamma` is not positive.

    Example:
      >>> weights = jm.anchor_weights(jnp.array([0, 0, 1]), gamma=4.0)
      >>> jm.combine(weights, jnp.array([0.0, 8.0, 5.0])).tolist()
      [2.0, 6.0, 5.0]

    Schneider et al. 2023, arXiv:2311.06965. Their code takes k-means of the whole batch by
    scikit-learn, and also anchors that are not clusters. It subtracts means before and adds them
    again after, which cancels, because rows sum to 1.
    """
    clusters = _checks.integer_ids("anchor_weights", "clusters", clusters)
    _checks.positive("anchor_weights", "gamma", gamma)
    gamma = _checks.shaped("anchor_weights", "gamma", jnp.asarray(gamma).astype(jnp.float32), ())
    root = jnp.sqrt(jnp.where(gamma > 0, gamma, 1.0))
    same = (clusters[:, None] == clusters[None, :]).astype(jnp.float32)
    mean = same / same.sum(axis=1, keepdims=True)
    own = jnp.where(gamma == jnp.inf, 0.0, 1 / root)
    return own * jnp.eye(clusters.shape[0], dtype=jnp.float32) + (1 - own) * mean
