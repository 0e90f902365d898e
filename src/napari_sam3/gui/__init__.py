"""Qt and magicgui: what the user sees of the controller."""
