"""What was taken back before its time: credentials, consumers and subjects, known to all workers through one shared table."""
