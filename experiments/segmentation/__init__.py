"""Does mixing help where few frames have masks? CamVid, with a mean teacher and without."""

TIME = "1 h"  # on two cores, unless it says otherwise
