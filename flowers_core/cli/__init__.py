"""The commands of the command line, by what they are about; `__main__` makes one parser of them."""
