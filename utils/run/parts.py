"""What the state of a run can hold, and how it is put back."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    """Optimizers, modules."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class TrainedModel(Protocol):
    """A model that knows what each stage changes in it."""

    @property
    def about(self) -> dict[str, str]: ...

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any: ...

    def changed_names(self, stage: int) -> list[str]: ...


def load_part(part: Stateful, state: dict[str, Any]) -> None:
    """``part.load_state_dict(state)``; of an optimizer only the moments, once their sizes fit.

    An optimizer's settings are our own; the rates are set at the start of each epoch.

    Raises:
        ValueError: The moments do not fit the parameters.
    """
    if isinstance(part, torch.optim.Optimizer):
        parameters = [parameter for group in part.param_groups for parameter in group['params']]
        _check_moments(state['state'], parameters, bool(part.defaults.get('fused')))
        state = {'state': state['state'], 'param_groups': part.state_dict()['param_groups']}
    part.load_state_dict(state)


def _check_moments(
    moments: Mapping[int, Mapping[str, Any]], parameters: Sequence[torch.Tensor], fused: bool
) -> None:
    """Fused kernels write without a look at sizes."""
    names = {frozenset(each) for each in moments.values()}
    for index, each in moments.items():
        if not 0 <= index < len(parameters) or len(names) > 1:
            raise ValueError(f"the optimizer's state {index} has no parameter or other names")
        for name, value in each.items():
            like = torch.tensor(0.0) if name == 'step' else parameters[index]
            fits = isinstance(value, torch.Tensor) and (
                (value.shape, value.dtype) == (like.shape, like.dtype)
            )
            if fused and not fits:
                raise ValueError(
                    f"{name} of the optimizer's state {index} does not have the shape of its "
                    'parameter'
                )
