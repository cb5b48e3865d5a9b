"""HTTP for carriers: what they tell us is proved to be theirs, stored, and applied later by the workers."""
