"""`python -m bench.calls`, the same as `python -m bench calls`."""

import sys

from bench.__main__ import main

if __name__ == "__main__":
    sys.argv[1:1] = ["calls"]
    main()
