"""Chapter 12, the critique *Manifold mixup: degeneracy?*, and what the gain is made of."""
