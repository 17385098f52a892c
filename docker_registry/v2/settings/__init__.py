"""Tables of all settings of the registry, and the code that reads their values."""
