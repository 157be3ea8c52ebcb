"""What the spans say: run facts, metrics, and the answer to "what happened to this request?"."""
