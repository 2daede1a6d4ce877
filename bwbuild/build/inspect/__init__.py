"""What strangers made, read in small sandboxes: source packages, and what a build left."""
