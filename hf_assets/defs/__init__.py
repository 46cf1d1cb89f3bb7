"""The YAML documents: what exists. One item per document; the universe is `universe.yaml`."""
