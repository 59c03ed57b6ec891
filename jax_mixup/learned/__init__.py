"""Mixes that are learned: networks draw them, and a loss of their own trains these networks.

Needs Flax NNX, `pip install jax-mixup[learned]`; not imported by the package. Networks are modules,
the rest is functions. A sampler's `Mix` has a gradient by the network's parameters. The classifier
learns from `jax.lax.stop_gradient(mix)`.
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
