"""The only way out of the sandbox: verify, sign, publish."""
