"""Finding all objects of a kind, and choosing among the candidates."""
