"""What an act of an operator would reach, before it is ordered; pure."""
