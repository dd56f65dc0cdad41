"""From the equations of a model to a fit: start, optimizer, boundary, certificate."""
