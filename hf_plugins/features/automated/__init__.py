"""Features that a library proposes by the hundred, computed on moving windows."""
