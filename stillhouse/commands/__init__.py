"""One file for each subcommand; the file's ``command`` is what runs."""
