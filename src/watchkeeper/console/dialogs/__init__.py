"""What a person is asked before anything changes: the question's words and what they need."""
