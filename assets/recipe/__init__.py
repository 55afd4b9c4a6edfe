"""How the embedded Emoji model was made: data, VAE, generator, CLIP, cards. Run the modules in that order."""
