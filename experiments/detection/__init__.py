"""Does mixing help a detector? Mixup, CutMix, mosaic and copy-paste on scenes of digits."""

TIME = "14 min"  # on two cores, unless it says otherwise
