"""What limits still want of a request once they have let it in: bytes of bodies, its place in flight, its answer's weight."""
