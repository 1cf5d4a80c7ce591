"""Names and passwords: stored forms, user stores, and how guessing is held back."""
