"""Background jobs and caches of their results, independent of streamlit."""
