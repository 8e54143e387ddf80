"""What a person chooses about a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_client.policy import UplinkPolicy
from local.simulator.scenarios import SCENARIOS


class SimulationSettings(BaseModel):
    """Checked when made; unknown keys are refused.

    Attributes:
        homes: How many; each is a real gateway.
        speed: Simulated seconds in a second. The emulators carry about 10 at 20 homes.
        seed: The same seed makes the same homes and days.
        uplink: Policy of the homes' gateways. bucket: For their hourly objects.
        run_dir: Where identities, outboxes, truth.jsonl and sent.json go.
        duration_s: Simulated seconds; None: until stopped.
        start_hour: Local hour of the day at which it begins; None: what German clocks show (UTC+1).
        recordings: Folder of real recordings; None: synthesis.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    homes: int = Field(default=20, ge=1, le=9_999)
    scenario: str = "demo"
    speed: float = Field(default=1.0, gt=0, le=60)
    seed: int = Field(default=7, ge=0, lt=2**31)
    run_dir: Path = Path("run")
    broker_host: str = "127.0.0.1"
    broker_port: int = Field(default=18830, ge=1, le=65_535)
    pubsub_project: str = "demo-hearthwatch"
    uplink: UplinkPolicy = UplinkPolicy.FULL
    bucket: str = "hearthwatch"
    duration_s: float | None = Field(default=None, gt=0)
    start_hour: float | None = Field(default=18.6, ge=0, lt=24)
    recordings: Path | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.scenario not in SCENARIOS:
            raise ValueError(f"scenario is {self.scenario!r}, known scenarios: {', '.join(SCENARIOS)}")
        return self
