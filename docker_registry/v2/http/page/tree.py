"""Repositories as a tree, by the slashes in their names."""


class Node:
    """A folder, a repository, or both. `label` is the part of the name below the parent."""

    def __init__(self, label, name):
        self.label, self.name = label, name
        self.is_repository = False
        self.children = {}

    @property
    def nodes(self):
        return sorted(self.children.values(), key=lambda node: (not node.children, node.label))

    @property
    def count(self):
        """Repositories in here."""
        return sum(node.count + node.is_repository for node in self.children.values())


def grow(names):
    """Return the nodes at the top of the tree, folders first. A folder with nothing but one folder in it shares its row."""
    root = Node('', '')
    for name in names:
        node, path = root, ''
        for part in name.split('/'):
            path = f'{path}/{part}' if path else part
            node = node.children.setdefault(part, Node(part, path))
        node.is_repository = True
    _join(root)
    return root.nodes


def _join(root):
    stack = [root]
    while stack:
        node = stack.pop()
        for key, child in list(node.children.items()):
            while len(child.children) == 1 and not child.is_repository:
                (only,) = child.children.values()
                only.label = f'{child.label}/{only.label}'
                child = only
            node.children[key] = child
            stack.append(child)
