"""What the readers of all data sets return: the photos of a training and of a test."""

from dataclasses import dataclass

from datasets.protocols import Protocol
from datasets.records import Record

Trial = tuple[list[Record], list[Record]]  # query, gallery


@dataclass(frozen=True)
class TestPhotos:
    """Photos of a test, or of the validation during training.

    Args:
        trials: (query, gallery), located; one but for VehicleID, whose results are the mean of ten.
        protocol: how rankings are judged.
        root: folder that the photos are in.
    """

    trials: list[Trial]
    protocol: Protocol
    root: str

    @property
    def query(self) -> list[Record]:
        """Of the first trial."""
        return self.trials[0][0]

    @property
    def gallery(self) -> list[Record]:
        """Of the first trial."""
        return self.trials[0][1]


@dataclass(frozen=True)
class TrainPhotos:
    """Photos of a training run.

    Args:
        train: located.
        num_classes: individuals of the train list, also those whose photos were skipped as missing.
        root: folder that the train photos are in.
        validation: None where there is no validation list.
    """

    train: list[Record]
    num_classes: int
    root: str
    validation: TestPhotos | None

    @property
    def query(self) -> list[Record]:
        """The validation's, [] without one."""
        return self.validation.query if self.validation else []

    @property
    def gallery(self) -> list[Record]:
        """The validation's, [] without one."""
        return self.validation.gallery if self.validation else []
