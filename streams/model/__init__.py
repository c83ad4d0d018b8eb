"""Records, findings, times and names: the words in which all rooms speak."""
