"""Equations with two or more users: encoders, attention, Gaussians, moments."""
