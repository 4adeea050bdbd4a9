"""From records to what people and scripts read, and the live view of jobs that run."""
