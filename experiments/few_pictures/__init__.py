"""Does mixing help with few clean pictures, trained long?"""

TIME = "5 h"  # on two cores
