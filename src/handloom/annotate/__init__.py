"""Multi-camera captures in, accurate 3D labels of both hands out."""
