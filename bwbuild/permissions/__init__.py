"""What a package asks for beyond the default, and what the user answers: the words, and the decision."""
