"""The pages: scripts that Streamlit runs from top to bottom, thin over the pure modules beside this folder."""
