"""The one process: settings, HTTP API, control plane, command line and import."""
