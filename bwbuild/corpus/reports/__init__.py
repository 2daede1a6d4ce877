"""A run as reports: JSON for programs, JUnit XML for CI, one HTML page for people."""
