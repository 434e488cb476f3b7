"""Long work and the cache of its results, without streamlit."""
