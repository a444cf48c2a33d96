"""The command line: every screen of the console has a plain twin here."""
