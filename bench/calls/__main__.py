"""`python -m bench.calls`, the same as `python -m bench calls`."""

import sys

from bench.__main__ import main

sys.argv[1:1] = ["calls"]
main()
