"""Where does mixup fail? A class on the segment between two others; cures."""

TIME = "1 min"  # on two cores, unless it says otherwise
