"""The table of images in LanceDB: no torch, no BentoML."""
