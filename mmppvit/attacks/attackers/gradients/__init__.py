"""What the gradient of a client's model tells: closed forms, and search."""
