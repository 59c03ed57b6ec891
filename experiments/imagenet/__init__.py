"""ResNet-50 and ViT-S/16 on any number of devices and hosts, checkpointed."""
