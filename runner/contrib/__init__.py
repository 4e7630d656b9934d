"""What lets other programs use runner from within."""
