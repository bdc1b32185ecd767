"""Whether what is installed is what was locked, may be used, and is known to be vulnerable."""
