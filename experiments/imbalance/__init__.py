"""Rare classes: re-weighting, mixup, Remix, MAMix, Balanced-MixUp."""
