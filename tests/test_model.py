"""The model of change capture (models/capture.pml): it holds at a small size, its mutations are found, and its steps are the
program's failpoints."""

import re
import subprocess

import pytest

from support.program import BINARY, ROOT

MODEL = ROOT / "models" / "capture.pml"

# Failpoints of the program that are no step of the model, each with the reason.
NOT_MODELLED = {
    "target_schema_before": "tables are made inside the commit that fills them",
    "target_publish_during": "of files, whose commit has steps of its own",
    "target_cleanup_before": "leftovers hold nothing",
    "bus_fence_after": "of topics, whose checkpoints are their own",
    "archive_intent_before": "of objects beside the target, which tests/test_events_archive.py kills",
    "archive_intent_after": "of objects beside the target",
    "archive_index_after": "of objects beside the target",
    "archive_object_after": "of objects beside the target",
    "archive_withdraw_during": "of objects beside the target",
    "backup_receive_after": "of backups, which tests/test_backup.py kills",
    "backup_part_before": "of backups",
    "backup_part_after": "of backups",
    "backup_catalog_before": "of backups",
    "backup_catalog_after": "of backups",
    "wal_slot_after": "of backups, which tests/test_backup_wal.py kills",
    "wal_piece_before": "of backups",
    "wal_piece_after": "of backups",
    "wal_merge_during": "of backups",
    "wal_confirm_before": "of backups",
    "prune_entry_before": "of backups",
    "prune_object_before": "of backups",
    "restore_file_after": "of backups",
    "restore_control_before": "of backups",
    "state_run_started_after": "the history of runs decides nothing",
    "state_run_ended_before": "the history of runs decides nothing",
}


def checked(folder, *, liveness=False, **defines) -> str:
    """What the checker says; `None` is a define without value."""
    flags = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in defines.items()]
    compiler = ["gcc", "-O1", "-o", "pan", "pan.c"] + ([] if liveness else ["-DSAFETY", "-DNOCLAIM"])
    said = ""
    for command in (["spin", "-a", *flags, MODEL], compiler, ["./pan", "-m1000000"] + (["-a", "-f"] if liveness else [])):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
    assert "error: max search depth too small" not in said, said
    return said


SIZES = [{"TRANSACTIONS": 2, "KILLS": 1, "MEDDLING": 1, "RESNAPSHOTS": 1}, {"TRANSACTIONS": 2, "KILLS": 2, "MEDDLING": 1}, {"TRANSACTIONS": 3, "KILLS": 1}]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_is_lost_or_applied_twice(tmp_path, size):
    said = checked(tmp_path, **size)
    assert "errors: 0" in said and int(re.search(r"(\d+) states, stored", said)[1]) > 100_000, said
    assert "unreached in proctype program\n\t(0 of" in said or "RESNAPSHOTS" not in size, said  # every step was taken


def test_a_run_succeeds_at_last(tmp_path):
    """With fair writers: nothing waits for ever, and no kill leaves a state that no run gets out of."""
    assert "errors: 0" in checked(tmp_path, liveness=True, TRANSACTIONS=2, KILLS=1, MEDDLING=1)


@pytest.mark.parametrize("mutation", ["CONFIRM_BEFORE_COMMIT", "CHECKPOINT_APART", "FORGET_THE_SNAPSHOT", "SNAPSHOT_BEFORE_SLOT", "NO_JUDGEMENT"])
def test_mistakes_are_found(tmp_path, mutation):
    said = checked(tmp_path, TRANSACTIONS=3, KILLS=1, MEDDLING=int(mutation == "NO_JUDGEMENT"), **{mutation: None})
    assert "errors: 1" in said and "assertion violated" in said, said


def test_its_steps_are_the_failpoints():
    listed = subprocess.run([BINARY, "failpoints"], capture_output=True, text=True, timeout=30, check=True).stdout
    program = {line.split()[0] for line in listed.splitlines() if line.strip()}
    text = MODEL.read_text()
    declared = set(re.search(r"mtype = \{(.*?)\}", text, re.S)[1].replace(",", " ").split())
    taken = set(re.findall(r"step\((\w+)\);", text)) | set(re.findall(r"step\((\w+)\)", text)) - {"name"}
    assert declared == taken, "a step is declared and not taken, or the other way round"
    assert taken - program == set(), "steps that are no failpoints"
    assert program - taken == set(NOT_MODELLED), "failpoints that are neither a step nor excused, or excused and gone"
