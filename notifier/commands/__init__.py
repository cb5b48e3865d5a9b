"""The commands of `notifier`, one file a group. What they do is done by use cases or asked of the HTTP API."""
