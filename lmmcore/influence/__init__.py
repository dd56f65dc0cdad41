"""What changes when groups or rows are left out."""
