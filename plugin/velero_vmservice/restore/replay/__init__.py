"""The replay of a restore, poll by poll: sessions of operations, and the steps of a round."""
