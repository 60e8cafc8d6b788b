"""The door to AWS. Everything that imports boto's libraries is below it, and does so late."""
