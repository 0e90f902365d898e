"""The sections of the dock, one panel a file."""
