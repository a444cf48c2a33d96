"""Actions that wait for a person: asked, waited for, narrowed, and answered."""
