"""The page for browsers. See docs/page.rst."""
