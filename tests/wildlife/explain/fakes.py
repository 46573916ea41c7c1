"""An explainer of photos that are numbers, whose similarity is a sum over places."""

import torch


class FakeExplainer:
    """``photos`` (N, 1, h, w) are their own maps; the similarity is the sum of the products."""

    def __init__(self, photos):
        self.photos = photos

    def read(self, numbers):
        return self.photos[list(numbers)], None, None

    def similarities(self, images, cameras, views):
        first, second = images.chunk(2)
        return (first * second).sum((1, 2, 3))

    def contributions(self, images, cameras, views):
        first, second = images.chunk(2)
        products = (first * second)[:, 0]
        return self.similarities(images, cameras, views), torch.cat([products, products])
