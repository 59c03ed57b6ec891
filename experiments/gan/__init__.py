"""A mixup discriminator on 2-D mixtures: modes, distances, a picture."""
