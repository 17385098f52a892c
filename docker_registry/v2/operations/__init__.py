"""What an operator runs on a container, beside the registry that serves it. Knows no HTTP."""
