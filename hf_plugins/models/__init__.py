"""Model plugins: one module a family; a module dropped in here is discovered by itself."""
