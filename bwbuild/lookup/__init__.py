"""What a failed build missed: from the messages in its output to the files that would have been it."""
