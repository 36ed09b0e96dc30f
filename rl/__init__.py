"""Learning: instruction data, fine-tuning and the scores of models on requests."""
