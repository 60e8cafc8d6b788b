"""`python -m provision` is `provision`."""

import sys

from provision.cli.main import main

sys.exit(main())
