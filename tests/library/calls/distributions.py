"""Distributions of λ."""

import jax_mixup as jm
from tests.library.calls.base import B, Call, each, mixup

DISTRIBUTIONS = [
    Call("symmetric_beta", lambda key: jm.symmetric_beta(key, 0.4, (B,))),
    Call("symmetric_beta, traced", lambda key, alpha: jm.symmetric_beta(key, alpha)),
    Call("symmetric_beta, each", lambda key, level: jm.symmetric_beta(key, level, (B,))),
    Call("beta", lambda key: jm.beta(1.4, 0.4)(key, (B,))),
    Call("beta, traced", lambda key, alpha, share: each(key, lam_law=jm.beta(alpha, share))),
    Call("uniform", lambda key: jm.uniform(0.1, 0.6)(key, (B,))),
    Call("uniform, traced", lambda key, share, alpha: each(key, lam_law=jm.uniform(share, alpha))),
    Call("constant", lambda key: jm.constant(0.3)(key, (B,))),
    Call("constant, traced", lambda key, share: mixup(key, lam_law=jm.constant(share))),
    Call("folded_beta", lambda key: jm.folded_beta(0.75)(key, (B,))),
    Call("folded_beta, traced", lambda key, alpha: each(key, lam_law=jm.folded_beta(alpha))),
    Call("affine_uniform", lambda key: jm.affine_uniform(0.9)(key, (B,))),
    Call("affine_uniform, traced", lambda key, share: each(key, lam_law=jm.affine_uniform(share))),
]
