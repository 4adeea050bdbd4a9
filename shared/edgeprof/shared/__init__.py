"""What both sides of the lab agree on: jobs, results, the job store, telemetry, models."""
