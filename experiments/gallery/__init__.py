"""What each method does to a pair of pictures: the figure in the README."""
