"""The replay of a restore, poll by poll: the rounds, their course, and the same as a dry run."""
