"""Models and images as things one manages: what lies on which node, and who uses it."""
