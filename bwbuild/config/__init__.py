"""Settings: each option declared once, each value knows where it came from."""
