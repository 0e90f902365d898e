"""Real images with labels, to train on and to evaluate with."""
