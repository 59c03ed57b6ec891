"""Does mixing help a detector? Mixup, CutMix and mosaic on scenes, with boxes and weights."""

TIME = "5 min"  # on two cores, unless it says otherwise
