"""What this machine can do, and the doctor."""
