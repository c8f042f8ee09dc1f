"""The commands of the program, grouped by whom they serve; they parse and print, the packages do the work."""
