"""``experiments``: a grid of settings × seeds, from the file to the table."""
