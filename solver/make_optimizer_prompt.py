"""Optimizers of both stages from the config: which parameters, at which rate, with which decay."""
import inspect

import torch


def make_optimizer_1stage(cfg, model):
    """The optimizer of stage 1: the prompts (``prompt_learner.*``) and nothing else.

    One group a parameter, at STAGE1.BASE_LR and WEIGHT_DECAY. Raises ``ValueError`` where there are none to train.
    """
    solver = cfg.SOLVER.STAGE1
    groups = [{'params': [parameter], 'lr': solver.BASE_LR, 'weight_decay': solver.WEIGHT_DECAY}
              for name, parameter in model.named_parameters()
              if name.startswith('prompt_learner.') and parameter.requires_grad]
    return _make(solver, groups)


def make_optimizer_2stage(cfg, model):
    """The optimizer of stage 2: all that needs a gradient but the prompts and the text encoder.

    One group a parameter, in the model's order (the log shows the first group's rate). Names with "bias": rate times
    BIAS_LR_FACTOR, WEIGHT_DECAY_BIAS. LARGE_FC_LR: classifiers at 2 * STAGE2.BASE_LR.
    """
    solver = cfg.SOLVER.STAGE2
    groups = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or name.startswith(('text_encoder', 'prompt_learner')):
            continue
        lr, weight_decay = solver.BASE_LR, solver.WEIGHT_DECAY
        if 'bias' in name:
            lr, weight_decay = solver.BASE_LR * solver.BIAS_LR_FACTOR, solver.WEIGHT_DECAY_BIAS
        if solver.LARGE_FC_LR and 'classifier' in name:
            lr = 2 * solver.BASE_LR
        groups.append({'params': [parameter], 'lr': lr, 'weight_decay': weight_decay})
    return _make(solver, groups)


def make_optimizer_center(cfg, criterion):
    """SGD at STAGE2.CENTER_LR over the centres of ``make_loss``'s criterion, None where it has no center loss."""
    if criterion.center is None:
        return None
    return torch.optim.SGD(criterion.center.parameters(), lr=cfg.SOLVER.STAGE2.CENTER_LR)


def optimizer_names():
    """The classes of torch.optim that can be asked for.

    Those without weight decay are left out (LBFGS, which needs a closure, SparseAdam, Rprop), and Muon, which takes
    matrices only.
    """
    classes = {name: value for name, value in vars(torch.optim).items()
               if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)}
    return sorted(name for name, value in classes.items() if name != 'Muon' and _takes(value, 'weight_decay'))


def _takes(optimizer_class, argument):
    return argument in inspect.signature(optimizer_class).parameters


def _make(solver, groups):
    """The optimizer OPTIMIZER_NAME over the groups; MOMENTUM goes to the classes that have one (SGD, RMSprop)."""
    name = solver.OPTIMIZER_NAME
    if name not in optimizer_names():
        raise ValueError(f"OPTIMIZER_NAME '{name}' cannot be used; choose one of {', '.join(optimizer_names())}")
    if not groups:
        raise ValueError('there is no parameter to train in this stage')
    optimizer_class = getattr(torch.optim, name)
    settings = {'momentum': solver.MOMENTUM} if _takes(optimizer_class, 'momentum') else {}
    return optimizer_class(groups, lr=solver.BASE_LR, **settings)
