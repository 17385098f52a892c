"""The documentation as a site: `make docs` builds it.

https://www.sphinx-doc.org/en/master/usage/configuration.html
"""

import pathlib
import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

DRIVER = pathlib.Path(__file__).resolve().parent.parent / 'docker_registry' / 'drivers' / 'swift.py'

project = 'docker-registry-driver-swift'
release = version = re.search(r"^__version__ = '(.+)'$", DRIVER.read_text(encoding='utf-8'), re.MULTILINE)[1]
copyright = 'the contributors, Apache License 2.0'

exclude_patterns = ['requirements.txt']
highlight_language = 'none'  # a block says so if it is code
html_theme = 'furo'
html_title = f'{project} {release}'
html_show_sourcelink = False
html_copy_source = False


class LinksBetweenPages(SphinxTransform):
    """Makes links of what names a page in the files, and Sphinx warns if there is no such page.

    Pages write `Layout <layout.rst>`_, which GitHub follows to the file. The files above this folder write docs/layout.rst, since PyPI
    shows one of them; here that becomes a link with the title of the page.
    """

    default_priority = 700  # when docutils has resolved all targets

    def apply(self, **kwargs):
        for link in list(self.document.findall(nodes.reference)):
            match = re.fullmatch(r'(?:docs/)?(\w+)\.rst', link.get('refuri', ''))
            if match:
                link.replace_self(self._link(match[1], link.children, True))
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(text.parent, (nodes.literal, nodes.literal_block, nodes.inline, nodes.reference, nodes.title)):
                self._replace_names(text)

    def _replace_names(self, text):
        words = re.split(r'\bdocs/(\w+)\.rst\b', text.astext())
        if len(words) > 1:
            links = [self._link(word, [nodes.Text(word)], False) if n % 2 else nodes.Text(word) for n, word in enumerate(words)]
            text.parent.replace(text, links)

    def _link(self, page, children, has_own_text):
        options = {'refdomain': 'std', 'reftype': 'doc', 'refexplicit': has_own_text, 'refwarn': True}
        found = pending_xref('', reftarget='/' + page, refdoc=self.env.current_document.docname, **options)
        found += nodes.inline('', '', *children)
        return found


def setup(app):
    app.add_transform(LinksBetweenPages)
    return {'parallel_read_safe': True}
