"""The command line with hidden layers of 64 instead of 4096: for tests that train in several processes."""

import sys

from flowers_core.__main__ import main
from flowers_core.network import alexnet

alexnet.HIDDEN = 64

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
