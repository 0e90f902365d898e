"""Windows that the user opens from the dock."""
