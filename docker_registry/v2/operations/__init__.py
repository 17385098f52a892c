"""Commands that an operator runs on a container, besides the registry that serves it. The room knows nothing of HTTP."""
