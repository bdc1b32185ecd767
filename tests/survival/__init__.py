"""What a live bridge has to survive, as commands: each prints its cases, how many failed, and the seed."""
