"""How a package behaves while it is built, held against Debian Policy 4.9 and its kin by running it."""
