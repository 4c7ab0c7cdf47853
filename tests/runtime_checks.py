"""The checker of annotations in tests: an int is a fine float, as everywhere in Python."""

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
