"""The sandbox as a value, its lowering to bwrap, and the runner."""
