"""Extends Flower: it refuses requests of other sites, and lists the lab's queues."""
