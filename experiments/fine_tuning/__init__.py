"""Does mixing confident with unconfident rows help to fine-tune a small language model?"""

TIME = "15 min"  # on two cores
