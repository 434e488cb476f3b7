"""Methods that send the photo's signal back: gradients and rectifier rules."""
