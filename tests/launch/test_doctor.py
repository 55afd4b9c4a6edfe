"""What `doctor` finds on this very machine, and what it says of one that lacks things."""

import argparse
import importlib.metadata
import json
from pathlib import Path

import psutil
import pytest
import torch

from rlr_core import doctor
from rlr_core.estimators.registry import ESTIMATORS
from rlr_core.pipelines.catalogue import BASE_MODELS
from rlr_core.preference.registry import FEATURES
from rlr_core.rewards.registry import REWARDS


def test_findings_are_this_machines_and_can_be_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = doctor.run(argparse.Namespace(workspace=tmp_path / "new" / "workspace"))
    assert json.loads(json.dumps(findings)) == findings
    assert findings["packages"]["torch"] == importlib.metadata.version("torch")
    assert findings["memory"]["ram_total_bytes"] == psutil.virtual_memory().total
    assert 0 < findings["memory"]["ram_available_bytes"] <= findings["memory"]["ram_total_bytes"]
    assert (findings["memory"]["vram_total_bytes"] is None) == (not torch.cuda.is_available())
    assert findings["device"]["torch_threads"] == torch.get_num_threads()
    assert findings["workspace"] == {"folder": str(tmp_path / "new" / "workspace"), "reason": None}
    assert not (tmp_path / "new").exists(), "looking must not make the workspace"
    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr().out
    for name in (*BASE_MODELS, *REWARDS, *ESTIMATORS, *FEATURES):
        assert f"  {name} " in printed


def test_every_entry_of_every_registry_has_a_verdict(tmp_path: Path) -> None:
    findings = doctor.examine(tmp_path)
    groups = {"base_models": BASE_MODELS, "rewards": REWARDS, "estimators": ESTIMATORS, "features": FEATURES}
    for group, registry in groups.items():
        assert {name: entry["reason"] for name, entry in findings[group].items()} == {
            name: entry.availability() for name, entry in registry.items()
        }


def test_a_workspace_that_cannot_be_written_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reason = doctor.examine(tmp_path / "file" / "workspace")["workspace"]["reason"]
    assert "cannot be a folder" in reason
    assert str(tmp_path / "file" / "workspace") in reason


def test_missing_files_and_reasons_are_told(tmp_path: Path) -> None:
    findings = doctor.examine(tmp_path)
    findings["assets"]["clip"] = {"missing": ["config.json", "*.safetensors"]}
    findings["base_models"]["sd15"]["reason"] = "it needs more memory; choose a smaller model."
    findings["browser"] = None
    findings["memory"] |= {"vram_free_bytes": 7_900_000_000, "vram_total_bytes": 8_000_000_000}
    table = doctor.lines(findings)
    assert "assets/clip    incomplete, missing config.json, *.safetensors: take this folder from the repository again" in table
    assert "  sd15                   cannot run: it needs more memory; choose a smaller model. (memory 8.0 GB, download of 4.3 GB)" in table
    assert "GPU memory     7.9 GB free of 8.0 GB" in table
    assert any(line.startswith("Test browser   none found") for line in table)


def test_an_asset_folder_is_complete_when_every_pattern_matches(tmp_path: Path) -> None:
    patterns = doctor.ASSET_FILES["clip"]
    assert doctor._missing(tmp_path, patterns) == list(patterns)
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        (tmp_path / name).touch()
    assert doctor._missing(tmp_path, patterns) == ["*.safetensors"]
    (tmp_path / "model.safetensors").touch()
    assert doctor._missing(tmp_path, patterns) == []
