"""A laptop standing in for the street: a drawn world, a camera in it, a board that knows where it is."""
