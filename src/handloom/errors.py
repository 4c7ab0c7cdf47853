"""The exceptions that a user can meet. Each says what was expected, what was found, and what to do."""


class HandloomError(Exception):
    """Base of every error that is caused by input, not by a defect. The command line prints it in one line."""


class InputError(HandloomError):
    """A file, stream or argument that cannot be used: missing, unreadable, empty, of the wrong kind."""


class CalibrationError(HandloomError):
    """A camera calibration that is malformed, impossible, or does not belong to the images."""


class RecordError(HandloomError):
    """Arrays that do not form a valid `HandTrack`: wrong shape, wrong order, numbers where none may be."""


class OutputError(HandloomError):
    """Results that cannot be written: no permission, no space, or a result that is already there."""


class MissingDependencyError(HandloomError):
    """A feature whose package is not installed, or does not exist for this Python."""


class TrainingError(HandloomError):
    """A training that cannot go on: a loss that is not finite, too little memory, settings that do not go together."""
