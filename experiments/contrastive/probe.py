"""How good frozen features are: simple classifiers of scikit-learn on them."""

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def ridge(
    features: Float[np.ndarray, "n d"],
    y: Int[np.ndarray, "n"],
    tests: Float[np.ndarray, "m d"],
    *,
    penalty: float,
) -> Int[np.ndarray, "m"]:
    """A linear probe in closed form: least squares to the labels, on standardised features.

    W = argmin (1/n) Σ ‖y - ȳ - W f‖² + r ‖W‖², for labels of ± ½
    """
    classifier = RidgeClassifier(alpha=penalty * len(features), solver="cholesky")
    return make_pipeline(StandardScaler(), classifier).fit(features, y).predict(tests)


def nearest(
    features: Float[np.ndarray, "n d"], y: Int[np.ndarray, "n"], tests: Float[np.ndarray, "m d"]
) -> Int[np.ndarray, "m"]:
    """The class of the one neighbour with the largest cosine."""
    return KNeighborsClassifier(1, metric="cosine").fit(features, y).predict(tests)
