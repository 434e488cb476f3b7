"""Challenges for a class: tasks with one answer that the network can judge. A new file needs no other edit."""
