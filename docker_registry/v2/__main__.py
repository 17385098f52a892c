"""`python -m docker_registry.v2` is `registry-swift`."""

import sys

from docker_registry.v2.cli import main

sys.exit(main())
