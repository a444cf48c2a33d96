"""Evidence bundles: what happened, the proof of it, and what it was decided under, in one file."""
