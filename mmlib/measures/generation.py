"""How good generated images are: Fréchet distance and Inception score, under their true names.

Both scores look at images through a classifier. Through Inception v3 with the weights of the
reference implementation they are the FID and the Inception score of the literature, and only then
do they bear these names; through another classifier they are a Fréchet distance on its features
and a classifier score, on another scale.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mmlib.checks import integer
from mmlib.measures.evaluation import Inputs, evaluating
from mmlib.mixing import capture

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


def frechet_distance(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> float:
    r"""Return the squared Fréchet distance of two normal laws.

    .. math:: |\mu_1 - \mu_2|^2 + \mathrm{tr}\big(C_1 + C_2 - 2 (C_1^{1/2} C_2 C_1^{1/2})^{1/2}\big)

    Heusel et al. (2017). Covariances may be singular; roots are taken of symmetric matrices, so
    no imaginary part has to be thrown away.

    Args:
        mean: (D,) of the first law.
        cov: (D, D), symmetric and positive semi-definite.
        other_mean: (D,) of the second law.
        other_cov: (D, D).

    Raises:
        ValueError: The shapes do not fit, or a number is not finite.

    Example:
        >>> zero, one = torch.zeros(2), torch.eye(2)
        >>> frechet_distance(zero, one, zero + 1, 4 * one)
        4.0
    """
    size = len(mean)
    for name, tensor, shape in (
        ("mean", mean, (size,)),
        ("cov", cov, (size, size)),
        ("other_mean", other_mean, (size,)),
        ("other_cov", other_cov, (size, size)),
    ):
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name}: expected shape {shape}, but got {tuple(tensor.shape)}")
        if not tensor.isfinite().all():
            raise ValueError(f"{name}: expected finite numbers, but there is a NaN or an infinity")
    m1, c1, m2, c2 = (t.double() for t in (mean, cov, other_mean, other_cov))
    values, vectors = torch.linalg.eigh(c1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp(min=0).sqrt().sum()
    return float((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * cross)


def classifier_score(logits: Tensor) -> float:
    r"""Return ``exp(E_x KL(p(y | x) || E_x p(y | x)))``, from 1 to the number of classes.

    The formula of the Inception score (Salimans et al., 2016), over all samples at once: high if
    each image is clearly of a class and all classes occur.

    Args:
        logits: (N, K).

    Raises:
        ValueError: There are no logits.

    Example:
        >>> round(classifier_score(50 * torch.eye(4)), 6), classifier_score(torch.zeros(3, 4))
        (4.0, 1.0)
    """
    if logits.ndim != 2 or not len(logits):
        raise ValueError(f"logits: expected (N, K) with N > 0, but got {tuple(logits.shape)}")
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    marginal = p.mean(0)
    log_marginal = marginal.clamp(min=torch.finfo(p.dtype).tiny).log()
    return float((p * (log_p - log_marginal)).sum(1).mean().exp())


@dataclass(frozen=True)
class Features:
    """A network through which images are scored.

    Attributes:
        network: what the scores are named after, e.g. ``"small_conv trained on MNIST"``.
        extract: maps (B, C, H, W) bytes to features (B, D) and logits (B, K).
        inception: whether the scores are FID and Inception score.
    """

    network: str
    extract: Callable[[Tensor], tuple[Tensor, Tensor]]
    inception: bool = False

    @property
    def distance_name(self) -> str:
        """What the distance may be called."""
        return "FID" if self.inception else f"Fréchet distance on the features of {self.network}"

    @property
    def score_name(self) -> str:
        """What the score may be called."""
        return "Inception score" if self.inception else f"score of the classifier {self.network}"


def classifier_features(
    model: nn.Module, layer: str, network: str, *, inputs: Inputs | None = None
) -> Features:
    """Return the features that a classifier puts out at a layer, flattened, and its logits.

    Args:
        model: Maps inputs to logits; its mode is restored after each use.
        layer: Dotted name of the submodule whose output the features are.
        network: Name of the classifier and of its data.
        inputs: Makes model inputs of a batch of bytes.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> features = classifier_features(net, "0", "a linear net", inputs=lambda b: b / 255)
        >>> features.distance_name
        'Fréchet distance on the features of a linear net'
    """

    def extract(images: Tensor) -> tuple[Tensor, Tensor]:
        x = images if inputs is None else inputs(images)
        with evaluating(model):
            return capture(model, x, layer).flatten(1), model(x)

    return Features(network, extract)


def inception_weights() -> Path | None:
    """Return the file of Inception's weights in torch hub's cache, None without file or package.

    The package is torch-fidelity, which gives the file its name; nothing is downloaded.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return path if importlib.util.find_spec("torch_fidelity") and path.is_file() else None


def best_features(fallback: Features, device: str | torch.device = "cpu") -> Features:
    """Return Inception's features if package and weights are there, else the fallback.

    Warns:
        UserWarning: Inception is missing; the message names what is used in its place.
    """
    path = inception_weights()
    if path is None:
        warnings.warn(
            f"FID and Inception score need torch-fidelity and {INCEPTION_FILE} in the cache of "
            f"torch hub; in their place: {fallback.distance_name}, {fallback.score_name}",
            stacklevel=2,
        )
        return fallback
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(path),
    ).to(device)

    def extract(images: Tensor) -> tuple[Tensor, Tensor]:
        colour = images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
        with torch.no_grad():
            return net(colour)

    return Features("Inception v3", extract, inception=True)


@dataclass(frozen=True)
class FeatureLaw:
    """Mean and covariance of the features of a set of images, and the score of the set.

    Attributes:
        mean: (D,) float64.
        cov: (D, D) float64, divided by N - 1.
        score: `classifier_score` of the images.
    """

    mean: Tensor
    cov: Tensor
    score: float


def feature_law(features: Features, images: Tensor, *, batch_size: int = 500) -> FeatureLaw:
    """Return what is to be compared about a set of images.

    Args:
        features: Through what to look.
        images: (N, C, H, W) bytes, at least two.
        batch_size: Images at a time.

    Raises:
        TypeError: `images` are no bytes.
        ValueError: There are fewer than two.

    Example:
        >>> mean = Features("pixels", lambda x: (x.flatten(1).float(), x.flatten(1).float()))
        >>> feature_law(mean, torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2)).mean.tolist()
        [2.0, 3.0, 4.0, 5.0]
    """
    size = integer("batch_size", batch_size, low=1)
    if images.dtype != torch.uint8:
        raise TypeError(f"images: expected bytes, 0 to 255, but got {images.dtype}")
    if len(images) < 2:
        raise ValueError(f"images: expected at least two, but got {len(images)}")
    found, logits = zip(*map(features.extract, images.split(size)), strict=True)
    values = torch.cat(found).double()
    return FeatureLaw(values.mean(0), values.T.cov(), classifier_score(torch.cat(logits)))


def generation_scores(real: FeatureLaw, fake: FeatureLaw, features: Features) -> dict[str, float]:
    """Return distance and score of generated images, under the names that they may have.

    Args:
        real: Of real images.
        fake: Of generated images.
        features: Through what both were looked at.

    Returns:
        ``fid`` and ``inception_score`` through Inception, else ``frechet`` and ``score``.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> features = classifier_features(net, "0", "a linear net", inputs=lambda b: b / 255)
        >>> images = torch.arange(48).view(12, 1, 2, 2).byte()
        >>> found = feature_law(features, images)
        >>> sorted(generation_scores(found, found, features))
        ['frechet', 'score']
    """
    distance = frechet_distance(real.mean, real.cov, fake.mean, fake.cov)
    names = ("fid", "inception_score") if features.inception else ("frechet", "score")
    return dict(zip(names, (distance, fake.score), strict=True))
