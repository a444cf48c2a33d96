"""The protocols that the demo's model server speaks: each read as a chat, and answered in kind."""
