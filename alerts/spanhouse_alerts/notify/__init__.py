"""How notices reach people: webhooks, apprise services, and the worker that delivers the outbox."""
