"""Whether runs live: their signs of life, and what is alarmed when there are none."""
