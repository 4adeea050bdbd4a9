"""What Flower needs beside itself to be safe and to show this lab: a gate before it, and the lab's queues in it."""
