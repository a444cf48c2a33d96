"""What one shift hands to the next: generated from the whole plane, for people to edit."""
