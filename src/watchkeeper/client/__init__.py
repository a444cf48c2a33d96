"""How every other program speaks to a plane: people's screens, the command line, agents."""
