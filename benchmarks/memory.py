"""Peak memory of a half-order update, by the chain's length, by the sub-chain's, and with steps computed again.

    python3 launch.py bench memory --json out.json

"Update" is everything of it: sampling, twins and gradient. It should not grow with T by more than the stored states; it should grow with h
in proportion without checkpointing, and hardly with it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rlr_core.chain import CheckpointedChain, DenoisingChain
from rlr_core.config import AdapterConfig, SamplerConfig
from rlr_core.estimators.antithetic_half_order import AntitheticHalfOrder, AntitheticHalfOrderSettings
from rlr_core.peak_memory import peak_bytes
from rlr_core.pipelines.loading import load_base_model
from rlr_core.pipelines.quiet import quiet_libraries
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.rewards.brightness import Brightness
from rlr_core.rng import generator, image_generators
from rlr_core.sampling import sample
from rlr_core.sub_chain_memory import measure_step_bytes

STEPS = (10, 20, 50)
LENGTHS = (1, 2, 4, 8)
REFERENCE_STEPS, REFERENCE_LENGTH = 20, 4


@dataclass(frozen=True)
class Peak:
    """Peak bytes of one update."""

    num_steps: int
    sub_chain_length: int
    is_checkpointed: bool
    bytes: int


def update_bytes(model: BaseModel, num_steps: int, length: int, is_checkpointed: bool, batch_size: int) -> Peak:
    """Sample a batch and estimate from it."""
    sampler = SamplerConfig(num_inference_steps=num_steps)
    chain: DenoisingChain = model.chain(sampler)
    if is_checkpointed:
        chain = CheckpointedChain(chain)
    condition = model.condition(["red apple"] * batch_size, sampler)
    # A tail that leaves no shorter sub-chain to be drawn.
    estimator = AntitheticHalfOrder(AntitheticHalfOrderSettings(sub_chain_length=length, uncovered_tail=num_steps % length))

    def update() -> None:
        trajectory = sample(chain, condition, image_generators(0, count=batch_size))
        estimator.estimate(chain, trajectory, Brightness(), generator(0, "estimator"))

    return Peak(num_steps, length, is_checkpointed, peak_bytes(update, chain.device))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="launch.py bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("--base-model", default="emoji")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    quiet_libraries()
    model = load_base_model(arguments.base_model, AdapterConfig())
    cases = [(steps, REFERENCE_LENGTH, False) for steps in STEPS]
    cases += [(REFERENCE_STEPS, length, is_checkpointed) for is_checkpointed in (False, True) for length in LENGTHS]
    peaks = [update_bytes(model, *case, arguments.batch_size) for case in dict.fromkeys(cases)]
    for peak in peaks:
        print(f"T = {peak.num_steps:3}  h = {peak.sub_chain_length}  checkpointed {peak.is_checkpointed!s:5}  {peak.bytes / 1e6:8.1f} MB")
    by_steps = {peak.num_steps: peak.bytes for peak in peaks if peak.sub_chain_length == REFERENCE_LENGTH and not peak.is_checkpointed}
    print(f"T = {STEPS[-1]} over T = {STEPS[0]}: {by_steps[STEPS[-1]] / by_steps[STEPS[0]]:.3f}")
    sampler = SamplerConfig(num_inference_steps=REFERENCE_STEPS)
    chain = model.chain(sampler)
    condition = model.condition(["red apple"] * arguments.batch_size, sampler)
    measured = measure_step_bytes(chain, sample(chain, condition, image_generators(0, count=arguments.batch_size)))
    print(f"B_h {measured.differentiated / 1e6:.2f} MB, B_z {measured.kept / 1e6:.4f} MB, fixed {measured.fixed / 1e6:.2f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps({"peaks": [asdict(peak) for peak in peaks], "step_bytes": asdict(measured)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
