"""Chapter 15: the benchmarks of k-mixup."""
