"""What a session is opened on: what a service has to offer, and the real machine behind it."""
