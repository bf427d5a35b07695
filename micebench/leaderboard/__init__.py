"""The leaderboard: accepted results and reported numbers as a static site and as a table for a README."""
