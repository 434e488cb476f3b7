"""System services: files, downloads, memory, logging and the server."""
