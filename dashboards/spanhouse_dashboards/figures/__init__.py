"""Plotly figures as pure functions: data of the API in, figure out. No Streamlit, no clock, no I/O."""
