"""Methods based on a layer's feature maps: class activation maps."""
