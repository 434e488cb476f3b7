"""The sandboxes: small networks to play with, computed and drawn in the browser."""
