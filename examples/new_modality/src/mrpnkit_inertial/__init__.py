"""Inertial sensors for mrpnkit: accelerometer and gyroscope, six channels, worn on wrist and ankle."""

from mrpnkit_inertial.bands import BandEnergies
from mrpnkit_inertial.recordings import CsvRecordings, write_recordings
from mrpnkit_inertial.synthetic import SyntheticActivities

__all__ = ["BandEnergies", "CsvRecordings", "SyntheticActivities", "write_recordings"]
