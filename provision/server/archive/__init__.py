"""A store's whole content as a folder, and back: runs in a process of its own, beside the data."""
