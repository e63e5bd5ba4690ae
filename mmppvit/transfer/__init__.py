"""What pretrained weights are worth on encrypted images, and the short adaptation that helps."""
