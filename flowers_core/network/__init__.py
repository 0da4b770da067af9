"""AlexNet, what joins it at the end of a training, and the file it is kept in."""
