"""The collection of garbage, while everybody pushes: what it deletes can be put back until it is proven right."""
