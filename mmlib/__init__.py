"""The executable companion to Manifold Mixup: mix the hidden states of any torch model."""

__version__ = "0.1.0"
