"""Optimizers of both stages from the config: which parameters, at which rate, with which decay."""

import inspect

import torch


def make_optimizer_1stage(cfg, model):
    """The optimizer of stage 1: the prompts (``prompt_learner.*``) and nothing else.

    At STAGE1.BASE_LR and WEIGHT_DECAY. Raises ``ValueError`` where there are none to train.
    """
    solver = cfg.SOLVER.STAGE1
    settings = [
        (parameter, solver.BASE_LR, solver.WEIGHT_DECAY)
        for name, parameter in model.named_parameters()
        if name.startswith('prompt_learner.') and parameter.requires_grad
    ]
    return _make(solver, settings)


def make_optimizer_2stage(cfg, model):
    """The optimizer of stage 2: all that needs a gradient but the prompts and the text encoder.

    Names with "bias": rate times BIAS_LR_FACTOR, WEIGHT_DECAY_BIAS. LARGE_FC_LR: classifiers at 2 *
    STAGE2.BASE_LR. The first group, whose rate the log shows, is the one of the model's first
    weight.
    """
    solver = cfg.SOLVER.STAGE2
    settings = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or name.startswith(('text_encoder', 'prompt_learner')):
            continue
        lr, weight_decay = solver.BASE_LR, solver.WEIGHT_DECAY
        if 'bias' in name:
            lr, weight_decay = solver.BASE_LR * solver.BIAS_LR_FACTOR, solver.WEIGHT_DECAY_BIAS
        if solver.LARGE_FC_LR and 'classifier' in name:
            lr = 2 * solver.BASE_LR
        settings.append((parameter, lr, weight_decay))
    return _make(solver, settings)


def make_optimizer_center(cfg, criterion):
    """SGD at STAGE2.CENTER_LR over the centres of ``make_loss``'s criterion, None where it has no
    center loss.
    """
    if criterion.center is None:
        return None
    return torch.optim.SGD(criterion.center.parameters(), lr=cfg.SOLVER.STAGE2.CENTER_LR)


def _takes(optimizer_class, argument):
    return argument in inspect.signature(optimizer_class).parameters


def _make(solver, settings):
    """The optimizer OPTIMIZER_NAME over (parameter, rate, weight decay); MOMENTUM goes to the
    classes that have one.

    Parameters of one rate and weight decay share a group, in the order of their first: what is done
    to a group at once need not be done to each of its parameters.
    """
    if not settings:
        raise ValueError('there is no parameter to train in this stage')
    groups = {}
    for parameter, lr, weight_decay in settings:
        group = groups.setdefault(
            (lr, weight_decay), {'params': [], 'lr': lr, 'weight_decay': weight_decay}
        )
        group['params'].append(parameter)
    optimizer_class = getattr(torch.optim, solver.OPTIMIZER_NAME)
    if _takes(
        optimizer_class, 'momentum'
    ):  # not fused: torch's SGD then fails on a parameter whose first gradient comes late
        options = {'momentum': solver.MOMENTUM}
    else:
        options = {'fused': True} if _fuses(optimizer_class, settings[0][0].device) else {}
    return optimizer_class(list(groups.values()), lr=solver.BASE_LR, **options)


def _fuses(optimizer_class, device):
    """Whether the class can do a step in one kernel on this device: tried on one number, as torch's
    own lists are private.
    """
    if not _takes(optimizer_class, 'fused'):
        return False
    number = torch.zeros(1, device=device, requires_grad=True)
    number.grad = torch.zeros_like(number)
    try:
        optimizer_class([number], lr=0.1, fused=True).step()
    except (RuntimeError, NotImplementedError):
        return False
    return True
