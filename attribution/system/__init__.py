"""The machine beneath: files, downloads, memory, the log."""
