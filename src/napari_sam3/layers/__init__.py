"""What napari's layers hold, in the words of the engine, and back."""
