"""ResNet-50 and ViT-S/16 on any number of devices and hosts, with checkpoints."""

TIME = "days; --smoke 30 s"  # on two cores, unless it says otherwise
