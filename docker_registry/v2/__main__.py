"""`python -m docker_registry.v2` runs the command `registry-swift`."""

import sys

from docker_registry.v2.cli import main

sys.exit(main())
