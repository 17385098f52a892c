"""Metrics in the format of Prometheus: what the processes of this registry count, and what the last survey, collection and check found.

`counting` is what the application calls. `folder` has the files that the processes share, `series` what is in them, `notes` what the
container says, `exposition` the text for Prometheus, and `exporter` the process that serves it on a port of its own.
"""
