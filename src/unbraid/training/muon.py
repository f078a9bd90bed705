"""Muon for the kernels of codecs: momentum, made orthogonal before each step.

Under Adam a few directions of each kernel take most of the gradient, and small parts of a picture (the skin of hands and
face, trousers under a robe) are learned late. An orthogonal step changes all directions of a kernel by the same amount.
Figures: results/trials.csv.

Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein. "Muon: An optimizer for hidden layers in neural networks." 2024.
https://kellerjordan.github.io/posts/muon/

    M <- momentum M + (1 - momentum) G,    step = orthogonal((1 - momentum) G + momentum M)
    orthogonal(U diag(s) V^T) ~ U V^T, by five steps of the iteration X <- a X + (b A + c A^2) X,  A = X X^T

A kernel (O, I, k, k) is treated as a matrix of O rows. A step is scaled so that the root mean square of its values is the
learning rate, whatever the kernel's shape. `torch.optim.Muon` takes matrices only and iterates in bfloat16, which many
processors compute far more slowly than float32; here large matrices are iterated in the training's precision.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["AdamWithMuon", "orthogonal"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration: the steepest at zero that keep every singular value between about 0.7 and 1.2."""


SMALL = 64  # matrices with fewer rows are not faster in bfloat16


def orthogonal(
    matrix: Float[Tensor, "n m"], steps: int = 5, precision: torch.dtype | None = None
) -> Float[Tensor, "n m"]:
    """Approximate the nearest matrix with orthonormal rows or columns: singular values between about 0.7 and 1.2.

    Args:
        matrix: any matrix.
        steps: number of iterations.
        precision: in which a large matrix is iterated; None for its own.
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-12)
    if precision is not None and len(x) >= SMALL:
        x = x.to(precision)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.to(matrix.dtype)
    return x if wide is matrix else x.T


class AdamWithMuon(torch.optim.Adam):
    """Adam for all parameters except `kernels`, which Muon updates.

    Args:
        parameters: all parameters to train.
        kernels: the parameters that Muon updates; the first axis gives the rows of their matrix. Kernels that are not
            among `parameters` are ignored.
        learning_rate: Adam's learning rate.
        kernel_learning_rate: root mean square of the values of a kernel's step.
        betas: Adam's decay rates.
        momentum: Muon's momentum.
        fused: whether Adam updates all parameters in one pass.
        precision: in which large kernels are made orthogonal.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        kernels: Iterable[nn.Parameter],
        learning_rate: float,
        kernel_learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float = 0.95,
        fused: bool = False,
        precision: torch.dtype | None = None,
    ) -> None:
        every, by_muon = list(parameters), {id(kernel) for kernel in kernels}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in every if id(p) not in by_muon]},
            {"params": [p for p in every if id(p) in by_muon], "lr": kernel_learning_rate},
        ]
        super().__init__(groups, learning_rate, betas, fused=fused)
        self.momentum, self.precision = momentum, precision

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both optimisers; the kernels' gradients are removed before Adam's step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kernels = self.param_groups[1]
        for kernel in kernels["params"]:
            if kernel.grad is None:
                continue
            state = self.state[kernel]  # under Adam's names, which its checkpoints expect
            if not state:
                state["step"], state["exp_avg"] = torch.zeros(()), torch.zeros_like(kernel)
            state["step"] += 1
            average = state["exp_avg"].lerp_(kernel.grad, 1 - self.momentum)
            axes = _axes_in_memory(kernel)  # in this order a kernel is a matrix without a copy
            ahead = kernel.grad.lerp(average, self.momentum).permute(axes)
            matrix = ahead.flatten(1)
            step = orthogonal(matrix, precision=self.precision).view(ahead.shape)
            kernel.permute(axes).sub_(step, alpha=kernels["lr"] * math.sqrt(max(matrix.shape)))
            kernel.grad = None
        super().step()
        return loss


def _axes_in_memory(kernel: Tensor) -> list[int]:
    """The first axis, and the others in the order of memory; an orthogonal step is the same for any order of columns."""
    return [0, *sorted(range(1, kernel.ndim), key=kernel.stride, reverse=True)]
