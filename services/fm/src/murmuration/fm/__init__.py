"""fm: what is wrong right now, since when, and what was wrong before (ITU-T X.733)."""
