"""Learned mixes: networks draw them, and each network is trained by a loss of its own.

This module needs Flax NNX, `pip install jax-mixup[learned]`, and the package does not import it.
Networks are modules, and everything else is a function. The `Mix` of a sampler has a gradient with
respect to the parameters of its network; the classifier is trained on `jax.lax.stop_gradient(mix)`.
"""

from jax_mixup.learned._block import MixBlock as MixBlock
from jax_mixup.learned.adamixup import PolicyRegion as PolicyRegion
from jax_mixup.learned.adamixup import sample_adamixup as sample_adamixup
from jax_mixup.learned.adautomix import sample_adautomix as sample_adautomix
from jax_mixup.learned.automix import sample_automix as sample_automix

__all__ = [
    "MixBlock",
    "PolicyRegion",
    "sample_adamixup",
    "sample_adautomix",
    "sample_automix",
]
