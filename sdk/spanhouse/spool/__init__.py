"""The disk buffer: what was recorded outlives the process, and the next start ships it."""
