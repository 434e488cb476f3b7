"""A photo: decoded, upright, and prepared for a network."""
