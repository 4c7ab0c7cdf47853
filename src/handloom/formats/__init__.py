"""Files in and out: one format per module. Units, axes and joint orders of a file end at its reader."""
