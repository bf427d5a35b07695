"""How alike images are, and how far a photograph has decayed: measured on pixels or features, without a prompt."""
