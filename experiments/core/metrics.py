"""Metrics on logits and true labels."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

BINS = 15


def classification(
    logits: Float[Array, "n k"], labels: Int[Array, "n"]
) -> dict[str, Float[Array, ""]]:
    """Error, NLL, Brier score, expected calibration error in 15 equal bins, and its signed gap.

    The gap is mean confidence - accuracy: above 0 over-confident, below 0 under-confident.
    """
    count, confidence, right = reliability(logits, labels)
    p, own = jax.nn.softmax(logits), jax.nn.one_hot(labels, logits.shape[-1])
    nll = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "error": 1 - right.sum() / count.sum(),
        "nll": nll.mean(),
        "brier": jnp.square(p - own).sum(axis=-1).mean(),
        "ece": jnp.abs(confidence - right).sum() / count.sum(),
        "gap": (confidence - right).sum() / count.sum(),
    }


def reliability(logits: Float[Array, "n k"], labels: Int[Array, "n"]) -> Float[Array, "3 bins"]:
    """What a reliability diagram shows, for each bin of confidence.

    It is the number of predictions, the sum of their confidences, and the number of right ones.
    """
    confidence = jax.nn.softmax(logits).max(axis=-1)
    right = (logits.argmax(axis=-1) == labels).astype(jnp.float32)
    bins = jnp.clip((confidence * BINS).astype(jnp.int32), 0, BINS - 1)
    values = jnp.stack([jnp.ones_like(confidence), confidence, right])
    return jnp.zeros((3, BINS)).at[:, bins].add(values)


def temperature(logits: Float[Array, "n k"], labels: Int[Array, "n"]) -> Float[Array, ""]:
    """The T in [1/50, 50] at which logits / T have the least NLL.

    The NLL is convex in 1 / T, so its slope, E_p[z] - z_y on average, changes sign once: bisection
    in log T finds that place, and the nearer end of the range where there is none.
    """
    given = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        expected = (jax.nn.softmax(logits / jnp.exp(middle)) * logits).sum(axis=-1)
        hotter = (expected - given).mean() > 0  # over-confident at this T
        return jnp.where(hotter, middle, low), jnp.where(hotter, high, middle)

    end = jnp.log(50.0)
    low, high = jax.lax.fori_loop(0, 30, halve, (-end, end))
    return jnp.exp((low + high) / 2)


def log_odds(logits: Float[Array, "n k"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """log(p / (1 - p)) of each label's probability p: exact where p rounds to 1 in float32."""
    own = jax.nn.one_hot(labels, logits.shape[-1], dtype=jnp.bool_)
    return jnp.where(own, logits, 0).sum(axis=-1) - jax.nn.logsumexp(logits, where=~own, axis=-1)


def detection(
    inside: Float[Array, "n k"], outside: Float[Array, "m k"]
) -> dict[str, Float[Array, ""]]:
    """How well logits separate inputs that a model knows (inside) from those that it does not.

    Scores are the largest probability, and the energy, which is the logits' logsumexp.
    """
    top = lambda logits: log_odds(logits, logits.argmax(axis=-1))  # in p's order, no ties at 1
    found = {}
    for name, score in {"softmax": top, "energy": partial(jax.nn.logsumexp, axis=-1)}.items():
        scores = score(inside), score(outside)
        found |= {f"{name}_auroc": auroc(*scores), f"{name}_fpr95": fpr95(*scores)}
    return found


def auroc(inside: Float[Array, "n"], outside: Float[Array, "m"]) -> Float[Array, ""]:
    """The probability that a score from inside is above one from outside; ties count half."""
    above = inside[:, None] > outside
    tied = inside[:, None] == outside
    return (above + tied / 2).mean()


def fpr95(inside: Float[Array, "n"], outside: Float[Array, "m"]) -> Float[Array, ""]:
    """The fraction of outside scores above the threshold that 95 % of the inside scores pass."""
    return (outside >= jnp.quantile(inside, 0.05)).mean()
