"""What each chapter runs: its studies, their settings per profile, the evidence for its claims."""
