"""What surrounded a job: the machine, its Pythons and their packages, and variables that matter."""
