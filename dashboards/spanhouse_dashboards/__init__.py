"""The web pages: clients of the HTTP API, mounted by the server under `/ui` or run alone with `streamlit run`."""
