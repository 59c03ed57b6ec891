"""Does mixing help segmentation? CamVid's frames and masks, and with a mean teacher."""

TIME = "10 min"  # on two cores, unless it says otherwise
