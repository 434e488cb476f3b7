"""Methods that read a layer: the class activation maps."""
