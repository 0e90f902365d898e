"""How long everything takes, and how much memory."""
