"""What a running build takes, looked at from outside, and the limits that end it."""
