"""From pictures, or another tracker's joints, to hands."""
