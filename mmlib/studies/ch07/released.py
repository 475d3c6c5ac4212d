"""Where the released code of both versions differs from what the texts say about GANs."""

from __future__ import annotations

# What -> (text, released code, here). Sources: v1 section 4.4 and Table 6, final version appendix
# E; the released repository, folder gan at its last commit (v1) and branch new_gan (final).
DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "alpha (v1)": (
        "0.2, a parameter",
        "0.2 is written into the trainer; the argument --alpha is ignored",
        "a parameter",
    ),
    "lambda in a batch": ("not said", "one draw per sample", "one draw per sample"),
    "lambda of fake-fake mixes (v1)": (
        "not said",
        "the same draws as for the real-fake mixes",
        "draws of their own",
    ),
    "weights of the pairs (final)": (
        "one expectation over pairs",
        "mean over three groups of a batch: 1/3 each against the ordinary terms",
        "as the code",
    ),
    "generator and mixes (final)": (
        "max over g of equation 6; equation 7 prints the minimum over d alone",
        "minimises -l(d(mix), y) besides its ordinary loss, with a layer drawn anew",
        "as the code",
    ),
    "layer sets": (
        "Figure 8: h1; h1,2; 1,2,pixel",
        "v1: 'vh1' is pixel or block 1, 'vh2' pixel, block 1 or 2; final: the same names without "
        "pixel",
        "as Figure 8, by the names of the layers",
    ),
    "mixes after the first convolution (v1)": (
        "each real with a fake; the competitive row of Table 6",
        "the trainer takes element 0 of a tensor: the states of sample 0, real and fake, stand for "
        "the whole batch; and half of the mixes are at the pixels",
        "as the text",
    ),
    "discriminator steps with hidden mixes (v1)": (
        "5 per generator step",
        "the path with hidden mixes ignores the setting and updates both players every step",
        "as the text",
    ),
    "GAN-GP": (
        "gradient penalty with coefficient gamma",
        "|grad|^2 at real samples, centred at zero, in an optimiser step of its own; not the "
        "(|grad| - 1)^2 between samples of WGAN-GP",
        "the same penalty, added to the loss",
    ),
    "spectral norm": (
        "SN-GAN",
        "the 1 x 1 convolutions of the shortcuts are not normalised",
        "every layer",
    ),
    "FID": (
        "not said against which images",
        "50,000 samples against the 10,000 test images, or in another script against stored "
        "statistics, presumably of the training images",
        "named beside each score",
    ),
}
