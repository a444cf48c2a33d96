"""Identity: who acts, with what proof, for what."""
