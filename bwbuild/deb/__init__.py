"""What Debian's formats say: sources, options of dpkg-buildpackage, artifacts."""
