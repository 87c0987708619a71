"""Process functions, with and without keys, and the contexts they see."""
