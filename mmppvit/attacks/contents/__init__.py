"""What an image shows, told from its patches in any order."""
