"""From a video to a record and a result folder."""
