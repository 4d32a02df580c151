"""What the rest stands on: settings, folders, devices, weights, progress, fast layers. It knows nothing above it."""
