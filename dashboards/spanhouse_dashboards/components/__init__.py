"""Components of our own, where Streamlit has none: the span tree."""
