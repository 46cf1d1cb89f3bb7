"""The shipped sample, its provenance and the script that builds it."""
