"""Methods based on backpropagation: gradients and rectifier rules."""
