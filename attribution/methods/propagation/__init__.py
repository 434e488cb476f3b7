"""Methods that propagate contributions back through the network, operator by operator."""
