"""Photos: decoding, orientation and preprocessing for a network."""
