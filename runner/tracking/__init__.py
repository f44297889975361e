"""Runs in MLflow: a reader of the journal that is never in the way.

MLflow is imported in `store.py` only: in the uploader's process or for `sync`, never while a run executes.
"""

from runner.tracking.config import SCHEMAS, TrackingConfig
from runner.tracking.report import SyncReport
from runner.tracking.sync import reconcile, sync
from runner.tracking.uploader import SweepUploader, Uploader

__all__ = ["SCHEMAS", "SweepUploader", "SyncReport", "TrackingConfig", "Uploader", "reconcile", "sync"]
