"""Learning from a build: what it used of what it declares, and a profile that the next one is held to."""
