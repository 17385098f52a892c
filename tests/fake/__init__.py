"""Tests of the fake Swift.

They are a package so that their conftest and their file names do not clash with those of other tests in the same run.
"""
