"""The native store (a LeRobot v3 data set): written, read, checked, cut into clips, augmented."""
