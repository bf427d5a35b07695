"""What people read: the report in the terminal and as one HTML file."""
