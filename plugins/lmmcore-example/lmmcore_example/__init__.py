"""The smallest complete plugin of each kind for lmmcore."""
