"""Chapter 14: the theory of k-mixup."""
