"""What actions may use, are held for, and came to, over every budget at once."""
