"""Reinforcement learning of editors over whole sessions, with the judges as rewards."""
