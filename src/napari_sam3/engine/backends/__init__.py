"""Models behind one interface: the embedded network, the SAM family, and text models."""
