"""Alert rules over agent metrics: checked YAML, a pure state machine, and notices that are delivered once."""
