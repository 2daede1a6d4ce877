"""What the sandbox sees as its file system: bases and views."""
