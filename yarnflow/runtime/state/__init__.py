"""State of operators in a slot worker: backends, timers, and the form in which state is stored."""
