"""Print the Python packages that are installed here, as `name==version` lines. For a bill of materials of an image: docs/security.rst."""

from importlib import metadata

print('\n'.join(sorted({f'{found.metadata["Name"]}=={found.version}' for found in metadata.distributions()})))
