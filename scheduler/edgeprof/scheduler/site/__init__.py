"""What people and programs read of the lab over HTTP: pages and /api/v1. Nothing is changed."""
