"""Every setting, in tables, and where the registry reads them from."""
