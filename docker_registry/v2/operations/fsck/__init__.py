"""The command `registry-swift fsck`: finds out which images are damaged, says which tags cannot be pulled, and repairs what it can."""
