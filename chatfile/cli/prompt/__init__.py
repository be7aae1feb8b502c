"""The interactive prompt: the user can type while earlier lines are carried out."""
