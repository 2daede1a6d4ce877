"""What a traced build did: strace's lines as events."""
