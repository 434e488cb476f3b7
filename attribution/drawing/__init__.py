"""Drawing of attribution values as images, with numpy only."""
