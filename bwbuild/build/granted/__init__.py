"""What a build has beyond the default: how it is asked for and granted, and what becomes of it."""
