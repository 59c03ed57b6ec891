"""Does mixup keep a network from memorising wrong labels of pictures?"""

TIME = "3 h"  # on two cores
