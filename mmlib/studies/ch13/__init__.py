"""Chapter 13: k-mixup, the method, its couplings and the toy sets."""
