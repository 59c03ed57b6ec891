"""Where mixup fails: a class on the segment between two others. Cures."""
