"""All attacks: importing a module adds its attacks."""

import against_bodies
import against_connections
import against_heads
import against_logins
import against_manifests
import against_page
import against_rules
import against_storage
from attack import ATTACKS

__all__ = [
    'ATTACKS',
    'against_bodies',
    'against_connections',
    'against_heads',
    'against_logins',
    'against_manifests',
    'against_page',
    'against_rules',
    'against_storage',
]
