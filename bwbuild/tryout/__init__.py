"""Trying what was built: a program of a package in a sandbox, with nothing but what it is granted."""
