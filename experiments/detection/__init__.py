"""Scenes of digits: mixup, CutMix and mosaic with boxes and weights."""
