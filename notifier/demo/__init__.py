"""The demonstration: made-up people, the whole service around them, and an account of each of them at the end."""
