"""Wrong labels told by their losses: DivideMix, M-correction, and pairs of networks."""
