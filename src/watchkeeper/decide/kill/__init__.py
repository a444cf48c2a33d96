"""What locks do: put in force, told to whoever it takes, and confirmed."""
