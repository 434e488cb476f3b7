"""The presenter mode: keys of clickers, and a blank screen."""
