"""What runs on the server's machine: an idempotent program that needs only Debian's Python."""
