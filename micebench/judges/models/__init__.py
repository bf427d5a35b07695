"""What judges look with: detectors, features, readers, vision-language models. Each is named in a judge's card."""
