"""What must hold of the whole plane, whatever happens to it."""
