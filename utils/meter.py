class AverageMeter:
    """Mean of what was given so far, weighted by count."""

    def __init__(self):
        self.sum = self.count = 0

    def update(self, value, count=1):
        self.sum += value * count
        self.count += count

    @property
    def avg(self):
        return self.sum / self.count if self.count else 0.0
