"""A survey: one pass over the listings of the container, into a database that the commands ask afterwards."""
