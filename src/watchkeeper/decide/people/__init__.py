"""People on watch: who they are, who covers a role, how they answer."""
