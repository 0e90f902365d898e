"""Training of the follower: sequences of frames, what is asked about them, and the judge."""
