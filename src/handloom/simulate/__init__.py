"""The virtual capture studio: hands, motion, objects, cameras and renderer."""
