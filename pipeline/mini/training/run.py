"""One training run: its clock, its checkpoint, its moving average, and what it prints.

Progress is measured in time, not in steps, so that a run ends when it was promised to, on any machine.
Several processes may share a run (`torchrun`): each trains on pictures of its own, gradients are averaged. On a CPU
two processes of one thread each are quicker than one of two, because they wait for each other once a step.
"""

import copy
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from pressrun.pipeline.mini.training.optimiser import Optimiser, rate


class Run:
    """Training `model` for `minutes`, with a checkpoint under `folder` from which the same call goes on.

    `average` is the exponential moving average of the weights: what is evaluated and exported. `rank` and `world` are
    this process's number and how many share the run; only the first one prints and saves.
    """

    def __init__(
        self, folder: Path, name: str, model: nn.Module, optimiser: Optimiser, minutes: float, decay: float
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.pt"
        self.model, self.optimiser = model, optimiser
        self.seconds, self.decay = minutes * 60, decay
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.steps, self.pictures, self.spent = 0, 0, 0.0
        together = distributed.is_initialized()
        self.rank, self.world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        self._agreed: float | None = None
        self._started = self._saved = self._spoken = time.monotonic()
        self._heard: list[torch.Tensor] = []  # read only when they are printed: a GPU is not waited for at every step
        self._since = 0
        if self.path.exists():
            self._load(torch.load(self.path, map_location="cpu", weights_only=True))

    @property
    def progress(self) -> float:
        """Share of the run's time that has passed, earlier sittings included; 1 or more when it is over."""
        if self._agreed is not None:
            return self._agreed  # processes that share a run must end it at the same step
        return (self.spent + time.monotonic() - self._started) / self.seconds

    def step(self, loss: torch.Tensor, pictures: int) -> None:
        """Backward, one optimiser step, the moving average; prints every 15 seconds, saves every three minutes."""
        loss.backward()
        if self.world > 1:
            self._agree()
        self.optimiser.step(rate(self.progress))
        self.steps += 1
        self.pictures += pictures * self.world
        self._average()
        self._heard.append(loss.detach())
        self._since += pictures * self.world
        now = time.monotonic()
        if now - self._spoken > 15 and self.rank == 0:
            mean = float(torch.stack(self._heard).mean())
            speed = self._since / (now - self._spoken)
            print(f"{self.progress:6.1%}  step {self.steps}  loss {mean:.4f}  {speed:.1f} images/s", flush=True)
            self._spoken, self._heard, self._since = now, [], 0
        if now - self._saved > 180:
            self.save()

    @torch.no_grad()
    def _agree(self) -> None:
        """Average the gradients of all processes, and their clocks."""
        self._agreed = None
        parameters = self.optimiser.parameters
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([g.flatten() for g in grads] + [grads[0].new_tensor([self.progress])])
        distributed.all_reduce(flat)
        flat /= self.world
        self._agreed = float(flat[-1])
        for parameter, part in zip(parameters, flat.split([g.numel() for g in grads] + [1]), strict=False):
            parameter.grad = part.view_as(parameter)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        mine: list[torch.Tensor] = list(self.average.parameters())
        theirs: list[torch.Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - decay)

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        if self.rank != 0:
            return
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "pictures": self.pictures,
            "spent": self.spent + time.monotonic() - self._started,
        }
        scratch = self.path.with_suffix(".tmp")
        torch.save(state, scratch)
        scratch.replace(self.path)
        self._saved = time.monotonic()

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.pictures, self.spent = state["steps"], state["pictures"], state["spent"]
        print(f"resumed at step {self.steps}", flush=True)
