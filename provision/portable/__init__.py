"""Programs that also run alone: one file each, Python 3.8 and its standard library, no package."""
