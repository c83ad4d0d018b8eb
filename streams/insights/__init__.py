"""Charts out of the topics, by Faust: they may be lost, and are built anew."""
